//! Closed loops of several numbers of users, one after the other, for [`quipu_lab::fit`].

use quipu_lab::fit::{self, Run};
use quipu_lab::scenario::Scenario;
use stdx::units::Nanos;

use crate::run::RunError;
use crate::runner::Runner;

/// Runs each number of users `passes` times, upwards and downwards in turn, so that a machine that
/// drifts bends the curve less; `watch` sees each run. A stop ends it with the runs that there are.
///
/// # Errors
/// A run could not begin.
pub fn levels(
    base: &Scenario,
    (users, passes): (&[u32], u32),
    lasts: Nanos,
    runner: &mut Runner,
    watch: &mut dyn FnMut(&Run),
) -> Result<Vec<Run>, RunError> {
    let mut runs = Vec::new();
    for pass in 0..passes {
        let mut order = users.to_vec();
        if pass % 2 == 1 {
            order.reverse();
        }
        for users in order {
            let finding = runner.run(fit::scenario(base, users, lasts))?.finding;
            if runner.is_stopped() {
                return Ok(runs);
            }
            let name = format!("pass {} with {users} users", pass + 1);
            let run = Run { name, users: Some(users), finding };
            watch(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}
