//! Policy file. What a program is given, as TOML: each key is an option of `dormouse run` and each value what is written behind it.
//!
//! ```toml
//! allow-listen = ["127.0.0.1:8080"]
//! allow-connect = ["db.internal:5432", "*.example.com:443"]
//! dir = ["/srv/data::/data:ro"]
//! env = ["MODE=production", "HOME"]
//! max-memory = "256MiB"
//! timeout = "30s"
//! ```

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::RunArgs;
use super::values;

/// The keys. A list has none, one or more values; what is not there is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listen: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_listen: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_connect: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_udp: Vec<String>,
    #[serde(skip_serializing_if = "is_no")]
    allow_net: bool,
    #[serde(skip_serializing_if = "is_no")]
    allow_dns: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dir: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "is_no")]
    inherit_env: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_resources: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sockets: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_stack: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_share: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_rate: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_rate: Option<Value>,
}

fn is_no(value: &bool) -> bool {
    !*value
}

/// `1000` or `"64MiB"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or text like \"64MiB\" or \"30s\"")]
enum Value {
    Number(u64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(number as u64)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Value {
        Value::Text(format!("{}ms", time.as_millis()))
    }
}

/// Adds what a file says to what the options say: lists are the file's and then the options', and of one value the option's counts.
pub(super) fn add(args: &mut RunArgs, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read the policy {shown}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line =
            error.span().map(|span| format!(", line {}", text[..span.start.min(text.len())].matches('\n').count() + 1));
        format!("the policy {shown}{}: {}", line.unwrap_or_default(), error.message().replace('\n', " "))
    })?;
    file.add_to(args).map_err(|why| format!("the policy {shown}: {why}"))
}

/// What the options say, as a file.
pub(super) fn print(args: &RunArgs) -> Result<String, String> {
    toml::to_string(&File::of(args)).map_err(|error| format!("the policy cannot be written as TOML: {error}"))
}

impl File {
    fn add_to(self, args: &mut RunArgs) -> Result<(), String> {
        before(&mut args.listen, "listen", &self.listen, values::listen)?;
        before(&mut args.allow_listen, "allow-listen", &self.allow_listen, values::addr)?;
        before(&mut args.allow_connect, "allow-connect", &self.allow_connect, values::addr)?;
        before(&mut args.allow_udp, "allow-udp", &self.allow_udp, values::addr)?;
        before(&mut args.dir, "dir", &self.dir, values::dir)?;
        before(&mut args.env, "env", &self.env, values::env)?;
        args.allow_net |= self.allow_net;
        args.allow_dns |= self.allow_dns;
        args.inherit_env |= self.inherit_env;
        unless(&mut args.max_memory, "max-memory", self.max_memory, values::size)?;
        unless(&mut args.max_resources, "max-resources", self.max_resources, values::count)?;
        unless(&mut args.max_sockets, "max-sockets", self.max_sockets, values::count)?;
        unless(&mut args.max_stack, "max-stack", self.max_stack, values::stack)?;
        unless(&mut args.fuel, "fuel", self.fuel, values::fuel)?;
        unless(&mut args.timeout, "timeout", self.timeout, values::duration)?;
        unless(&mut args.cpu_share, "cpu-share", self.cpu_share, values::percent)?;
        unless(&mut args.byte_rate, "byte-rate", self.byte_rate, values::byte_rate)?;
        unless(&mut args.accept_rate, "accept-rate", self.accept_rate, values::rate)
    }

    fn of(args: &RunArgs) -> File {
        File {
            listen: texts(&args.listen),
            allow_listen: texts(&args.allow_listen),
            allow_connect: texts(&args.allow_connect),
            allow_udp: texts(&args.allow_udp),
            allow_net: args.allow_net,
            allow_dns: args.allow_dns,
            dir: texts(&args.dir),
            env: texts(&args.env),
            inherit_env: args.inherit_env,
            max_memory: args.max_memory.map(Value::from),
            max_resources: args.max_resources.map(Value::from),
            max_sockets: args.max_sockets.map(Value::from),
            max_stack: args.max_stack.map(Value::from),
            fuel: args.fuel.map(Value::Number),
            timeout: args.timeout.map(Value::from),
            cpu_share: args.cpu_share.map(|percent| Value::Text(format!("{percent}%"))),
            byte_rate: args.byte_rate.map(|bytes| Value::Number(bytes.get())),
            accept_rate: args.accept_rate.map(|rate| Value::Number(rate.get().into())),
        }
    }
}

fn texts<T: fmt::Display>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

fn before<T>(
    values: &mut Vec<T>,
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    let parsed = texts.iter().map(|text| parse(text)).collect::<Result<Vec<T>, _>>();
    values.splice(..0, parsed.map_err(|why| format!("{key}: {why}"))?);
    Ok(())
}

fn unless<T>(
    value: &mut Option<T>,
    key: &str,
    text: Option<Value>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    let parsed = text.map(|text| parse(&text.to_string())).transpose().map_err(|why| format!("{key}: {why}"))?;
    if value.is_none() {
        *value = parsed;
    }
    Ok(())
}
