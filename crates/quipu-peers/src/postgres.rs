//! PostgreSQL: `UPDATE ... RETURNING`, each its own transaction.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use postgres::{Config, NoTls, Statement};
use quipu_proof::node::PATIENCE;

use crate::program::{Line, Served, User, find, free_port, version};
use crate::system::{Client, Life, NoAnswer, Place, System, SystemError};

/// PostgreSQL with one value of `synchronous_commit`.
#[derive(Debug, Clone, Copy)]
pub struct Postgres {
    /// `on` or `off`.
    pub synchronous_commit: &'static str,
}

const UPDATE: &str = "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value";
const SELECT: &str = "SELECT value FROM counters WHERE name = $1";

fn line(program: &str, words: &[&str]) -> Result<Line, SystemError> {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    // It refuses to run as root.
    let user = User::instead_of_root("postgres")?;
    Ok(Line::new(&find(program)?, words).run_as(user))
}

fn init(data: &str) -> Result<Line, SystemError> {
    line("initdb", &["-D", data, "-U", "postgres", "-A", "trust"])
}

fn single(data: &str) -> Result<Line, SystemError> {
    line("postgres", &["--single", "-D", data, "postgres"])
}

impl Postgres {
    fn serve(self, data: &str, port: &str) -> Result<Line, SystemError> {
        let setting = format!("synchronous_commit={}", self.synchronous_commit);
        let words = ["-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1"];
        let more = ["-c", "unix_socket_directories=", "-c", &setting];
        line("postgres", &[&words[..], &more].concat())
    }
}

impl System for Postgres {
    fn key(&self) -> String {
        format!("postgres_{}", self.synchronous_commit)
    }

    fn title(&self) -> String {
        format!("PostgreSQL, `synchronous_commit={}`", self.synchronous_commit)
    }

    fn version(&self) -> Result<String, SystemError> {
        User::instead_of_root("postgres")?;
        version(&find("postgres")?)
    }

    fn recipe(&self) -> Vec<String> {
        let lines = [init("DIR/base"), single("DIR/base"), self.serve("DIR/base", "PORT")];
        lines.into_iter().flatten().map(|line| line.shown()).collect()
    }

    fn operation(&self) -> String {
        format!("`{UPDATE}`; `{SELECT}`, both prepared; rows made before")
    }

    /// One process without a server makes the rows, and makes them durable when it ends.
    fn make(&self, place: &Place, counters: &[&str]) -> Result<(), SystemError> {
        if let Some(user) = User::instead_of_root("postgres")? {
            user.takes(&place.data)?;
        }
        let data = place.data.join("base");
        let data = data.to_string_lossy();
        init(&data)?.run(place, Stdio::null())?;
        let mut script =
            "CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL)\n".to_owned();
        let row = |counter: &&str| format!("INSERT INTO counters VALUES ('{counter}', 0)\n");
        script.extend(counters.iter().map(row));
        let path = place.log.with_extension("sql");
        let written = std::fs::write(&path, script).and_then(|()| File::open(&path));
        let input = written.map_err(SystemError::machine("write a script"))?;
        single(&data)?.run(place, input.into())
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        let port = free_port()?;
        let data = place.data.join("base");
        let line = self.serve(&data.to_string_lossy(), &port.to_string())?;
        Ok(Box::new(Served::start(&line, place, port, dial)?))
    }
}

fn dial(address: SocketAddr) -> Result<Box<dyn Client>, NoAnswer> {
    let mut config = Config::new();
    config.host(&address.ip().to_string()).port(address.port());
    config.user("postgres").dbname("postgres").connect_timeout(PATIENCE);
    let mut client = config.connect(NoTls)?;
    let (update, select) = (client.prepare(UPDATE)?, client.prepare(SELECT)?);
    Ok(Box::new(Session { client, update, select }))
}

impl From<postgres::Error> for NoAnswer {
    fn from(error: postgres::Error) -> Self {
        Self(error.to_string())
    }
}

/// A connection with its prepared statements.
struct Session {
    client: postgres::Client,
    update: Statement,
    select: Statement,
}

impl Client for Session {
    fn add(&mut self, counter: &str, _: &str) -> Result<(), NoAnswer> {
        self.client.query_one(&self.update, &[&counter]).map(drop).map_err(NoAnswer::from)
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        Ok(self.client.query_one(&self.select, &[&counter])?.get(0))
    }
}
