//! Ventilator and workers, as processes or, for inproc, as tasks: started the same way, and missed the same way.

use std::env;
use std::fmt;
use std::path::Path;

use tokio::process::Command;
use tokio::task::JoinSet;
use zocket::Endpoint;

use crate::options::Transport;
use crate::{Fault, ventilator, worker};

/// Who one is, and everything one has to know for it.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    Ventilator { folder: String, bind: String, workers: usize, sink: Endpoint },
    Worker { number: usize, from: Endpoint, sink: Endpoint, dies: bool },
}

impl Role {
    pub(crate) async fn play(self) -> Result<(), Fault> {
        match self {
            Self::Ventilator { folder, bind, workers, sink } => {
                ventilator::run(Path::new(&folder), &bind, workers, &sink).await
            }
            Self::Worker { from, sink, dies, .. } => worker::run(&from, &sink, dies).await,
        }
    }

    /// The role that [`to_arguments`](Self::to_arguments) described; `None` for what a user typed.
    pub(crate) fn from_arguments(arguments: &[String]) -> Result<Option<Self>, Fault> {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Ok(match *arguments {
            ["ventilator", folder, bind, workers, sink] => Some(Self::Ventilator {
                folder: folder.into(),
                bind: bind.into(),
                workers: workers.parse()?,
                sink: sink.parse()?,
            }),
            ["worker", number, from, sink, dies] => Some(Self::Worker {
                number: number.parse()?,
                from: from.parse()?,
                sink: sink.parse()?,
                dies: dies.parse()?,
            }),
            _ => None,
        })
    }

    fn to_arguments(&self) -> [String; 5] {
        match self {
            Self::Ventilator { folder, bind, workers, sink } => {
                ["ventilator".into(), folder.clone(), bind.clone(), workers.to_string(), sink.to_string()]
            }
            Self::Worker { number, from, sink, dies } => {
                ["worker".into(), number.to_string(), from.to_string(), sink.to_string(), dies.to_string()]
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ventilator { .. } => f.write_str("ventilator"),
            Self::Worker { number, .. } => write!(f, "worker {number}"),
        }
    }
}

/// Everybody who was started and has not ended.
#[derive(Debug)]
pub(crate) struct Crew {
    as_tasks: bool,
    members: JoinSet<Result<(), String>>,
}

impl Crew {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { as_tasks: transport == Transport::Inproc, members: JoinSet::new() }
    }

    pub(crate) fn start(&mut self, role: Role) -> Result<(), Fault> {
        let name = role.to_string();
        if self.as_tasks {
            println!("{name} is a task");
            self.members.spawn(async move { role.play().await.map_err(|fault| format!("{name}: {fault}")) });
            return Ok(());
        }
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.args(role.to_arguments()).kill_on_drop(true).spawn()?;
        println!("{name} is process {}", child.id().unwrap_or_default());
        self.members.spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("{name} ended with {status}")),
                Err(error) => Err(format!("{name}: {error}")),
            }
        });
        Ok(())
    }

    /// Waits for the next one to end. Returns how, or `None` when nobody is left.
    pub(crate) async fn next_end(&mut self) -> Option<Result<(), String>> {
        let ended = self.members.join_next().await?;
        Some(ended.unwrap_or_else(|panic| Err(panic.to_string())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
