//! `services/redis.conf.tera`: a redis server's own file.
use super::Shipped;
use super::context::{Fields, context, text};
use super::engine;
use super::error::Error;
use super::grammar::{Clients, Databases, EvictionPolicy, LogLevel, Password, Port, RedisSize};
use super::lists::Addresses;
use reeve_shared::command::{Context, Value};

/// A redis server.
pub(super) const REDIS: Shipped = Shipped {
    name: NAME,
    source: include_str!("../../../templates/services/redis.conf.tera"),
    keys: &[Redis::KEYS],
    context: redis,
};
const NAME: &str = "services/redis.conf.tera";

context! {
    /// All of it has a default but the password, which there need not be.
    Redis {
        required {}
        default {
            bind_address: Addresses = text("127.0.0.1"),
            port: Port = Value::Unsigned(6379),
            databases: Databases = Value::Unsigned(16),
            log_level: LogLevel = text("notice"),
            persistence_enabled: bool = Value::Bool(true),
            max_memory: RedisSize = text("256mb"),
            eviction_policy: EvictionPolicy = text("allkeys-lru"),
            aof_enabled: bool = Value::Bool(false),
            max_clients: Clients = Value::Unsigned(10_000),
        }
        optional {
            require_pass: Password,
        }
    }
}

fn redis(context: &Context) -> Result<minijinja::Value, Error> {
    Ok(engine::value(Redis::read(&Fields::new(NAME, REDIS.keys, context)?)?))
}
