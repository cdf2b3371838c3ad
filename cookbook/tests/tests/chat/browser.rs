//! Headless Chromium, driven by its DevTools protocol.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

use cookbook_tests::{PATIENCE, Running};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A browser with an empty profile.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    calls: u64,
    _running: Running,
    profile: PathBuf,
}

/// One of its pages.
pub struct Page(Value);

impl Browser {
    pub fn new() -> Browser {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", process::id()));
        let _ = fs::remove_dir_all(&profile);
        let mut command = Command::new("chromium");
        // Of the network it uses loopback, and of the machine this profile.
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--window-size=720,480", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        let mut running = Running::start(command, false);
        let line = running.until("DevTools listening on ws://");
        let url = &line[line.find("ws://").expect("it was looked for")..];
        let addr = url["ws://".len()..].split('/').next().expect("an address");
        let stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let (socket, _) = tungstenite::client(url, stream).expect("it is a WebSocket");
        Browser { socket, calls: 0, _running: running, profile }
    }

    /// A new page, loaded.
    pub fn open(&mut self, url: &str) -> Page {
        let target = self.call(&Value::Null, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let page = Page(self.call(&Value::Null, "Target.attachToTarget", attach)["sessionId"].clone());
        let went = self.call(&page.0, "Page.navigate", json!({ "url": url }));
        assert!(went.get("errorText").is_none(), "{went}");
        // Navigation has begun, but the page may not be there yet.
        let there = "new Promise(there => document.readyState == 'complete' ? there() : onload = there)";
        self.run(&page, there);
        page
    }

    /// Runs an expression in a page, waits for its promise if it is one, and returns what it came to.
    pub fn run(&mut self, page: &Page, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let ran = self.call(&page.0, "Runtime.evaluate", params);
        assert!(ran.get("exceptionDetails").is_none(), "{script}: {ran}");
        ran["result"]["value"].clone()
    }

    /// Waits until the page's text has something in it.
    pub fn until(&mut self, page: &Page, text: &str) {
        let script = format!(
            "new Promise(found => {{
                const look = () => document.body.innerText.includes({text}) && found();
                new MutationObserver(look).observe(document, {{ subtree: true, childList: true, characterData: true }});
                look();
            }})",
            text = json!(text),
        );
        self.run(page, &script);
    }

    /// What a page looks like, as PNG in base 64.
    pub fn picture(&mut self, page: &Page) -> String {
        let picture = self.call(&page.0, "Page.captureScreenshot", json!({}));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    pub fn close(&mut self, page: Page) {
        self.call(&page.0, "Page.close", json!({}));
    }

    fn call(&mut self, session: &Value, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if !session.is_null() {
            call["sessionId"] = session.clone();
        }
        self.socket.send(Message::text(call.to_string())).expect("it reads");
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("{method} of {call}: {error}"));
            let answer: Value = serde_json::from_str(message.to_text().expect("it is text")).expect("it is JSON");
            if answer["id"] == self.calls {
                assert!(answer.get("error").is_none(), "{call}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.socket.send(Message::text(json!({ "id": 0, "method": "Browser.close" }).to_string()));
        // Its end of the connection goes when it does.
        while self.socket.read().is_ok() {}
        let _ = fs::remove_dir_all(&self.profile);
    }
}
