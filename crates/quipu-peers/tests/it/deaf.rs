//! A system whose clients stop hearing: the last answer came and was lost on the way.

use quipu_peers::system::{Client, Life, NoAnswer, Place, Promise, System, SystemError};
use quipu_peers::tree::Tree;

/// Clients of `system` that lose the answer after so many that they heard.
pub(crate) struct Deaf<'a> {
    pub(crate) system: &'a dyn System,
    pub(crate) heard: u64,
}

impl System for Deaf<'_> {
    fn key(&self) -> String {
        format!("deaf_{}", self.system.key())
    }

    fn title(&self) -> String {
        self.system.title()
    }

    fn version(&self) -> Result<String, SystemError> {
        self.system.version()
    }

    fn recipe(&self) -> Vec<String> {
        self.system.recipe()
    }

    fn operation(&self) -> String {
        self.system.operation()
    }

    fn promise(&self) -> Promise {
        self.system.promise()
    }

    fn make(&self, place: &Place, counters: &[&str]) -> Result<(), SystemError> {
        self.system.make(place, counters)
    }

    fn start(&self, place: &Place) -> Result<Box<dyn Life>, SystemError> {
        Ok(Box::new(DeafLife { life: self.system.start(place)?, heard: self.heard }))
    }
}

struct DeafLife {
    life: Box<dyn Life>,
    heard: u64,
}

impl Life for DeafLife {
    fn connect(&self) -> Result<Box<dyn Client>, NoAnswer> {
        Ok(Box::new(DeafClient { client: self.life.connect()?, left: self.heard }))
    }

    fn ended(&mut self) -> Option<String> {
        self.life.ended()
    }

    fn tree(&self) -> Tree {
        self.life.tree()
    }

    fn kill(&mut self) {
        self.life.kill();
    }
}

struct DeafClient {
    client: Box<dyn Client>,
    left: u64,
}

impl Client for DeafClient {
    fn add(&mut self, counter: &str, token: &str) -> Result<(), NoAnswer> {
        self.client.add(counter, token)?;
        self.left = self.left.checked_sub(1).ok_or_else(|| NoAnswer("not heard".to_owned()))?;
        Ok(())
    }

    fn read(&mut self, counter: &str) -> Result<i64, NoAnswer> {
        self.client.read(counter)
    }
}
