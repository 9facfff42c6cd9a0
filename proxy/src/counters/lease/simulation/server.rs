//! The counters' server: the real scripts on hashes in memory, with a clock that the test holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value};

const DRAW: &str = include_str!("../../shared/draw.lua");
const BEAT: &str = include_str!("../../shared/beat.lua");

type Hashes = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Clone, Default)]
struct State {
    hashes: Hashes,
    now_us: i64,
}

pub(crate) struct Server {
    lua: Lua,
    draw: Function,
    beat: Function,
    state: Rc<RefCell<State>>,
}

#[derive(Clone, Copy)]
pub enum Script {
    Draw,
    Beat,
}

impl Server {
    pub fn new() -> Self {
        let lua = Lua::new();
        let state = Rc::new(RefCell::new(State::default()));
        let redis = lua.create_table().unwrap();
        let shared = state.clone();
        let call = lua.create_function(move |lua, arguments: MultiValue| {
            let words = arguments.into_iter().map(|word| text(lua, word)).collect::<Vec<_>>();
            command(lua, &mut shared.borrow_mut(), &words)
        });
        redis.set("call", call.unwrap()).unwrap();
        lua.globals().set("redis", redis).unwrap();
        let draw = lua.load(DRAW).into_function().unwrap();
        let beat = lua.load(BEAT).into_function().unwrap();
        Self { lua, draw, beat, state }
    }

    pub fn set_clock(&self, now_us: i64) {
        self.state.borrow_mut().now_us = now_us;
    }

    pub fn run(&self, script: Script, keys: &[String], arguments: &[String]) -> Vec<i64> {
        let globals = self.lua.globals();
        globals.set("KEYS", self.lua.create_sequence_from(keys.iter().cloned()).unwrap()).unwrap();
        let arguments = self.lua.create_sequence_from(arguments.iter().cloned()).unwrap();
        globals.set("ARGV", arguments).unwrap();
        let script = match script {
            Script::Draw => &self.draw,
            Script::Beat => &self.beat,
        };
        let reply: Table = script.call(()).unwrap();
        // Redis cuts what is behind the point.
        reply.sequence_values::<f64>().map(|number| number.unwrap() as i64).collect()
    }

    /// Gateways of which the roll knows anything.
    pub fn gateways(&self) -> usize {
        let state = self.state.borrow();
        state.hashes["roll"].keys().filter(|field| field.starts_with("b:")).count()
    }

    pub fn keep(&self) -> Hashes {
        self.state.borrow().hashes.clone()
    }

    pub fn put_back(&self, hashes: Hashes) {
        self.state.borrow_mut().hashes = hashes;
    }

    pub fn field(&self, key: &str, field: &str) -> Option<i64> {
        self.state.borrow().hashes.get(key)?.get(field)?.parse().ok()
    }

    pub fn set(&self, key: &str, field: &str, value: i64) {
        self.know(key, [(field.to_owned(), value.to_string())]);
    }

    pub fn know(&self, key: &str, fields: impl IntoIterator<Item = (String, String)>) {
        self.state.borrow_mut().hashes.entry(key.to_owned()).or_default().extend(fields);
    }
}

fn text(lua: &Lua, value: Value) -> String {
    let text = lua.coerce_string(value).unwrap().expect("a command is of texts and numbers");
    text.to_str().unwrap().to_owned()
}

fn command(lua: &Lua, state: &mut State, words: &[String]) -> mlua::Result<Value> {
    let bulk = |value: Option<&String>| match value {
        Some(value) => Ok(Value::String(lua.create_string(value)?)),
        // What is not there is false in a script.
        None => Ok(Value::Boolean(false)),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["TIME"] => {
            let (seconds, us) = (state.now_us / 1_000_000, state.now_us % 1_000_000);
            let time = [seconds.to_string(), us.to_string()];
            Ok(Value::Table(lua.create_sequence_from(time)?))
        }
        ["HGET", key, field] => bulk(state.hashes.get(key).and_then(|hash| hash.get(field))),
        ["HMGET", key, ref fields @ ..] => {
            let hash = state.hashes.get(key);
            let values = fields.iter().map(|field| bulk(hash.and_then(|hash| hash.get(*field))));
            let values = values.collect::<mlua::Result<Vec<_>>>()?;
            Ok(Value::Table(lua.create_sequence_from(values)?))
        }
        ["HGETALL", key] => {
            let hash = state.hashes.get(key).cloned().unwrap_or_default();
            let pairs = hash.into_iter().flat_map(|(field, value)| [field, value]);
            Ok(Value::Table(lua.create_sequence_from(pairs)?))
        }
        ["HSET", key, ref pairs @ ..] => {
            assert!(!pairs.is_empty() && pairs.len() % 2 == 0, "HSET takes pairs");
            let hash = state.hashes.entry(key.to_owned()).or_default();
            for pair in pairs.chunks(2) {
                hash.insert(pair[0].to_owned(), pair[1].to_owned());
            }
            Ok(Value::Integer(0))
        }
        ["HDEL", key, ref fields @ ..] => {
            let hash = state.hashes.entry(key.to_owned()).or_default();
            fields.iter().for_each(|field| drop(hash.remove(*field)));
            Ok(Value::Integer(0))
        }
        // Nothing relies on an expiry.
        ["PEXPIRE" | "PEXPIREAT", _, _] => Ok(Value::Integer(1)),
        _ => panic!("a command that the server does not have: {words:?}"),
    }
}
