//! The subcommands, one file each. A new one is a module, a variant and an arm.

mod add;
mod admin;
mod audit;
mod audit_live;
mod backup;
mod completions;
mod config;
mod docs;
mod doctor;
mod export;
mod get;
mod health;
mod import;
mod ingest;
mod ingest_meaning;
mod ingest_progress;
mod live;
mod load;
mod man;
mod prove;
mod recount;
mod restore;
mod scan;
mod serve;
mod stat;
mod stream;
mod take;
mod target;
mod top;
mod transfer_progress;
mod watch;

use std::process::ExitCode;

/// What to do. Each variant's help is that of its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Serve(serve::ServeArgs),
    Audit(audit::AuditArgs),
    Recount(recount::RecountArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Config(config::ConfigArgs),
    Ingest(ingest::IngestArgs),
    Add(add::AddArgs),
    Get(get::GetArgs),
    Take(take::TakeArgs),
    Scan(scan::ScanArgs),
    Top(top::TopArgs),
    Watch(watch::WatchArgs),
    Stat(stat::StatArgs),
    Stream(stream::StreamArgs),
    Prove(prove::ProveArgs),
    Load(load::LoadArgs),
    Doctor(doctor::DoctorArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Health(health::HealthArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Docs(docs::DocsArgs),
}

impl Command {
    /// Runs the command to its end and returns the code to exit with.
    ///
    /// # Errors
    /// If it did not do what was asked; the message is for the user.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(args) => serve::run(&args),
            Self::Audit(args) => audit::run(&args),
            Self::Recount(args) => recount::run(&args),
            Self::Backup(args) => backup::run(&args),
            Self::Restore(args) => restore::run(&args),
            Self::Config(args) => config::run(&args),
            Self::Ingest(args) => ingest::run(&args),
            Self::Add(args) => add::run(args),
            Self::Get(args) => get::run(args),
            Self::Take(args) => take::run(args),
            Self::Scan(args) => scan::run(args),
            Self::Top(args) => top::run(&args),
            Self::Watch(args) => watch::run(&args),
            Self::Stat(args) => stat::run(&args),
            Self::Stream(args) => stream::run(&args),
            Self::Prove(args) => prove::run(&args),
            Self::Load(args) => load::run(&args),
            Self::Doctor(args) => doctor::run(args),
            Self::Export(args) => export::run(&args),
            Self::Import(args) => import::run(&args),
            Self::Health(args) => health::run(&args),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Docs(args) => docs::run(&args),
        }
    }
}
