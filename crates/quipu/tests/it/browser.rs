//! A real Chromium, driven over WebDriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Http, request};
use crate::node::{PATIENCE, poll};
use crate::tool;

/// A browser with one window; it ends with the test.
pub(crate) struct Browser {
    driver: Child,
    http: Http,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; nothing where Chromium or its driver is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (chromium, driver) = (tool::find("chromium")?, tool::find("chromedriver")?);
        let profile = TempDir::new().expect("a temporary directory");
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let lines = BufReader::new(driver.stdout.take().expect("stdout is a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let port = line.rsplit_once("successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        let http = Http::connect(([127, 0, 0, 1], port).into());
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut browser = Self { driver, http, session: String::new(), _profile: profile };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", &folder];
        let options = json!({ "binary": chromium, "args": arguments });
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let made = browser.post("/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/session/{}", made["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    fn post(&mut self, path: &str, body: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        let reply = self.http.call(&request("POST", &path, &body.to_string()));
        assert_eq!(reply.status, 200, "{path} {body}: {}", String::from_utf8_lossy(&reply.body));
        reply.json()["value"].clone()
    }

    /// Evaluates an expression on the page.
    pub(crate) fn read(&mut self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.read(&format!("document.getElementById('{id}').textContent"));
        // Digits stand in groups.
        text.as_str().expect("text").replace('\u{202f}', "")
    }

    /// Waits until an element says something.
    pub(crate) fn wait_for(&mut self, id: &str, wanted: impl Fn(&str) -> bool) {
        let said = poll(PATIENCE, || Some(self.text(id)).filter(|text| wanted(text)));
        assert!(said.is_some(), "{id} says {:?}", self.text(id));
    }

    /// Speaks the browser's own protocol.
    fn command(&mut self, name: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }));
    }

    pub(crate) fn log(&mut self, kind: &str) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": kind }));
        log.as_array().expect("a log is a list").clone()
    }

    pub(crate) fn look_at(&mut self, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1,
                           "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    pub(crate) fn press(&mut self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let actions = json!([{ "type": "key", "id": "keys", "actions": keys }]);
        self.post("/actions", &json!({ "actions": actions }));
    }

    /// Opens a page and waits until it is there.
    pub(crate) fn open(&mut self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Returns what the pages that begin with `origin` asked for since the last time.
    pub(crate) fn asked(&mut self, origin: &str) -> Vec<String> {
        let log = self.log("performance");
        let events = log.iter().map(|entry| {
            let text = entry["message"].as_str().expect("a message");
            serde_json::from_str::<Value>(text).expect("an event is JSON")
        });
        let requests =
            events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let asked = requests.filter_map(|event| {
            let parameters = &event["message"]["params"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            // Tabs of the browser's own have requests of their own.
            let is_of_page = text(&parameters["documentURL"]).starts_with(origin);
            is_of_page.then(|| text(&parameters["request"]["url"]))
        });
        asked.collect()
    }

    /// Checks that the page is as wide as the window, phone or desk, and that its ground follows the
    /// scheme.
    pub(crate) fn fits_every_width_and_scheme(&mut self) {
        let mut grounds = Vec::new();
        for (width, scheme) in [(1280, "light"), (400, "light"), (400, "dark"), (1280, "dark")] {
            self.look_at(width, scheme);
            let over = self.read("document.documentElement.scrollWidth - innerWidth");
            assert!(over.as_i64().is_some_and(|over| over <= 0), "{over} too wide at {width}");
            grounds.push(self.read("getComputedStyle(document.body).backgroundColor"));
        }
        assert_eq!((&grounds[0], &grounds[2]), (&grounds[1], &grounds[3]));
        assert_ne!(grounds[0], grounds[2], "dark is as light");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser itself; errors mean that it is gone.
        drop(self.http.try_call(&request("DELETE", &self.session, "")));
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
