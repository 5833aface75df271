//! The page for people, in a real Chromium, driven over WebDriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::fresh_node;
use crate::http::{Http, request};
use crate::node::{Node, PATIENCE, poll};
use crate::resp::encode;
use crate::tool;

/// A name that would run as a program if the page took names for anything but text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// One more than a browser's numbers hold exactly.
const GREAT: i64 = (1 << 53) + 1;

/// A browser with one window; it ends with the test.
struct Browser {
    driver: Child,
    http: Http,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; nothing where Chromium or its driver is not installed.
    fn start() -> Option<Self> {
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
    fn read(&mut self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn text(&mut self, id: &str) -> String {
        let text = self.read(&format!("document.getElementById('{id}').textContent"));
        // Digits stand in groups.
        text.as_str().expect("text").replace('\u{202f}', "")
    }

    /// Waits until an element says something.
    fn wait_for(&mut self, id: &str, wanted: impl Fn(&str) -> bool) {
        let said = poll(PATIENCE, || Some(self.text(id)).filter(|text| wanted(text)));
        assert!(said.is_some(), "{id} says {:?}", self.text(id));
    }

    /// Speaks the browser's own protocol.
    fn command(&mut self, name: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }));
    }

    fn log(&mut self, kind: &str) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": kind }));
        log.as_array().expect("a log is a list").clone()
    }

    fn look_at(&mut self, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1,
                           "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    fn press(&mut self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let actions = json!([{ "type": "key", "id": "keys", "actions": keys }]);
        self.post("/actions", &json!({ "actions": actions }));
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

/// Adds to a counter of any name.
fn add(node: &Node, name: &str, delta: i64) {
    let mut socket = node.resp();
    socket.send(&encode(&["INCRBY", name, &delta.to_string()])).expect("the node reads");
    assert!(socket.receive().expect("a reply").int().is_some());
}

fn shows_what_is_counted(browser: &mut Browser, node: &Node) {
    browser.wait_for("state", |text| text == "live");
    assert_eq!(browser.text("counted"), "0");
    add(node, "plain", 5);
    browser.wait_for("counted", |text| text == "1");
    add(node, HOSTILE, GREAT);
    browser.wait_for("counters", |text| text == "2");
    let rows = "[...document.querySelectorAll('#top tr')].map(row => [...row.cells].map(cell => \
                cell.textContent.replaceAll('\u{202f}', '')).slice(0, 2))";
    let expected = json!([[HOSTILE, GREAT.to_string()], ["plain", "5"]]);
    let shown = poll(PATIENCE, || Some(browser.read(rows)).filter(|rows| *rows == expected));
    assert!(shown.is_some(), "{}", browser.read(rows));
    assert_eq!(browser.read("document.images.length"), 0, "a name became a picture");
    let port = node.address("resp").port().to_string();
    browser.wait_for("try-redis", |text| text.contains(&port));
}

fn fits_every_width_and_scheme(browser: &mut Browser) {
    let mut grounds = Vec::new();
    for (width, scheme) in [(1280, "light"), (400, "light"), (400, "dark"), (1280, "dark")] {
        browser.look_at(width, scheme);
        let over = browser.read("document.documentElement.scrollWidth - innerWidth");
        assert!(over.as_i64().is_some_and(|over| over <= 0), "{over} too wide at {width}");
        grounds.push(browser.read("getComputedStyle(document.body).backgroundColor"));
    }
    assert_eq!((&grounds[0], &grounds[2]), (&grounds[1], &grounds[3]));
    assert_ne!(grounds[0], grounds[2], "dark is as light");
}

fn is_reached_by_keyboard(browser: &mut Browser) {
    let stops = browser.read("document.querySelectorAll('a, button').length");
    let mut reached = Vec::new();
    for _ in 0..stops.as_u64().expect("a number") {
        // The key Tab, as WebDriver writes it.
        browser.press("\u{e004}");
        reached.push(browser.read("document.activeElement.tagName"));
    }
    assert!(reached.iter().all(|tag| tag == "A" || tag == "BUTTON"), "{reached:?}");
}

fn asks_nobody_else_and_complains_of_nothing(browser: &mut Browser, origin: &str) {
    let complaints = browser.log("browser");
    assert!(complaints.is_empty(), "{complaints:?}");
    let mut asked = 0;
    for entry in browser.log("performance") {
        let text = entry["message"].as_str().expect("a message");
        let event: Value = serde_json::from_str(text).expect("an event is JSON");
        if event["message"]["method"] != "Network.requestWillBeSent" {
            continue;
        }
        let parameters = &event["message"]["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (page, url) = (text(&parameters["documentURL"]), text(&parameters["request"]["url"]));
        // Tabs of the browser's own have requests of their own.
        if !page.starts_with(origin) {
            continue;
        }
        // The picture of the tab stands in the page itself.
        assert!(url.starts_with(origin) || url.starts_with("data:"), "{url}");
        asked += 1;
    }
    assert!(asked >= 4, "the browser told of {asked} requests only");
}

#[test]
fn the_page_shows_what_the_node_counts_and_nothing_leaves_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _folder) = fresh_node();
    let origin = format!("http://{}", node.address("http"));
    browser.post("/url", &json!({ "url": format!("{origin}/") }));
    shows_what_is_counted(&mut browser, &node);
    fits_every_width_and_scheme(&mut browser);
    is_reached_by_keyboard(&mut browser);
    asks_nobody_else_and_complains_of_nothing(&mut browser, &origin);
    drop(node);
    browser.wait_for("state", |text| text.starts_with("no answer for"));
}

#[test]
fn a_file_of_the_page_is_sent_once_and_may_do_little() {
    let (node, _folder) = fresh_node();
    let address = format!("http://{}", node.address("http"));
    let Some(curl) = tool::find("curl") else { return };
    for path in ["/", "/app.js", "/style.css"] {
        let ask = |more: &[&str]| {
            let mut command = Command::new(&curl);
            command.args(["-sS", "-i"]).args(more).arg(format!("{address}{path}"));
            tool::output_of(&mut command)
        };
        let head = ask(&["--head"]).to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = ask(&["-H", &format!("If-None-Match: {}", tag.trim())]);
        assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
        assert!(again.ends_with("\r\n\r\n"), "nothing is sent again: {again}");
    }
    let mut admin = Http::connect(node.address("admin"));
    assert_eq!(admin.call(&request("GET", "/", "")).status, 404, "the page is for the HTTP port");
}
