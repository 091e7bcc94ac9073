//! The command line.

use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use crate::Fault;

const USAGE: &str = "\
usage: pipeline [--workers N] [--folder PATH] [--transport tcp|ipc|inproc] [--kill-one]

  --workers N       how many workers count (default: one per core)
  --folder PATH     whose files to count (default: this repository)
  --transport T     tcp, ipc, or inproc, where all run as tasks of one process (default: tcp)
  --kill-one        worker 1 dies while it works: see what is lost, and that nothing else is";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) folder: String,
    pub(crate) transport: Transport,
    pub(crate) kill_one: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    /// A place to bind that nobody else has. `name` tells apart what is in one process.
    pub(crate) fn any_endpoint(self, name: &str) -> String {
        match self {
            Self::Tcp => "tcp://127.0.0.1:0".into(),
            Self::Ipc => "ipc://*".into(),
            Self::Inproc => format!("inproc://{name}"),
        }
    }
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Fault> {
        let mut options = Self {
            workers: available_parallelism().map_or(2, NonZero::get),
            folder: env!("CARGO_MANIFEST_DIR").into(),
            transport: Transport::Tcp,
            kill_one: false,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(name) = arguments.next() {
            match name {
                "--workers" => {
                    options.workers = value(name, arguments.next())?.parse::<NonZero<usize>>()?.get()
                }
                "--folder" => options.folder = value(name, arguments.next())?.into(),
                "--transport" => options.transport = transport(value(name, arguments.next())?)?,
                "--kill-one" => options.kill_one = true,
                _ => return Err(format!("what is {name:?}?\n{USAGE}").into()),
            }
        }
        if !Path::new(&options.folder).is_dir() {
            return Err(format!("{} is no folder", options.folder).into());
        }
        if options.kill_one && options.transport == Transport::Inproc {
            return Err("--kill-one kills a process, and with inproc there is only one".into());
        }
        Ok(options)
    }
}

fn value<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Fault> {
    value.ok_or_else(|| format!("{name} needs a value\n{USAGE}").into())
}

fn transport(name: &str) -> Result<Transport, Fault> {
    match name {
        "tcp" => Ok(Transport::Tcp),
        "ipc" => Ok(Transport::Ipc),
        "inproc" => Ok(Transport::Inproc),
        _ => Err(format!("no transport {name:?}\n{USAGE}").into()),
    }
}
