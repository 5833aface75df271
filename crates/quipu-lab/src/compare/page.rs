//! A comparison of saved results as text.

use super::{Compared, Comparison};

impl Comparison {
    /// Returns the page.
    pub fn page(&self) -> String {
        let claim = self.claim.map_or("no verdict".to_owned(), |claim| claim.to_string());
        let mut lines = vec![format!(
            "new against old: {claim}, {} and {} results",
            self.new_runs, self.old_runs
        )];
        lines.extend(self.doubts.iter().map(|doubt| format!("  {doubt}")));
        lines.push(String::new());
        lines.push(format!(
            "{:<11} {:>12} {:>12} {:>9}  {}",
            "merged", "old", "new", "new/old", "by runs (Mann-Whitney)"
        ));
        lines.extend(self.metrics.iter().flat_map(row));
        lines.join("\n") + "\n"
    }
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

fn row(compared: &Compared) -> Vec<String> {
    let metric = compared.declared.metric;
    let show = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| metric.shown(value));
    let ratio = compared.old.zip(compared.new).map(|(old, new)| percent(new / old));
    let ratio = ratio.map_or("n/a".to_owned(), |ratio| format!("{ratio:+.2} %"));
    let test = compared.test.map_or("no verdict".to_owned(), |test| {
        format!(
            "{}: {:+.2} % ({:+.2} % to {:+.2} %), margin {:.1} %, p {:.4}, with Holm {:.4}",
            test.claim,
            percent(test.ratio),
            percent(test.interval.0),
            percent(test.interval.1),
            compared.declared.margin_ratio * 100.0,
            test.p_claim,
            test.p_adjusted
        )
    });
    let row = format!(
        "{metric:<11} {:>12} {:>12} {ratio:>9}  {test}",
        show(compared.old),
        show(compared.new)
    );
    let points = |name: &str, points: &[f64]| {
        let shown: Vec<String> = points.iter().map(|value| metric.shown(*value)).collect();
        format!("  {name}: {}", shown.join(" "))
    };
    let all = [points("old", &compared.old_points), points("new", &compared.new_points)];
    let has_many = compared.old_points.len().max(compared.new_points.len()) > 1;
    std::iter::once(row).chain(all.into_iter().filter(|_| has_many)).collect()
}
