//! `system.*`: is it there, and what has it done.
use super::describe::{data, parameters, request};
use crate::RequestId;

parameters! {
    /// Parameters of `system.ping`: none.
    pub struct SystemPing {}
}

/// The `data` of `system.ping`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Pong {
    /// The executor's clock, in Unix seconds.
    pub timestamp: u64,
    /// The id of this request.
    pub request_id: RequestId,
}

impl serde::Serialize for Pong {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let json = serializer.is_human_readable();
        let mut data = serializer.serialize_struct("Pong", if json { 3 } else { 2 })?;
        if json {
            data.serialize_field("pong", &true)?;
        }
        data.serialize_field("timestamp", &self.timestamp)?;
        if json {
            data.serialize_field("request_id", &format_args!("{}", self.request_id))?;
        } else {
            data.serialize_field("request_id", &self.request_id)?;
        }
        data.end()
    }
}

request! {
    /// Parameters of `system.metrics`: none.
    pub struct MetricsRequest {}
}

parameters! {
    /// The counters that the frontend keeps, handed over with the command.
    pub struct SystemMetrics {
        /// Seconds since the frontend began to serve.
        uptime_seconds: u64,
        /// Complete frames received.
        requests_total: u64,
        /// Requests answered with an error.
        requests_failed: u64,
        /// Connections open now.
        active_connections: u64,
        /// Live nonces.
        nonce_store_size: u64,
    }
}

data! {
    /// The `data` of `system.metrics`.
    pub struct Metrics {
        /// Seconds since the frontend began to serve.
        uptime_seconds: u64,
        /// Complete frames received.
        requests_total: u64,
        /// Requests answered with an error.
        requests_failed: u64,
        /// Connections open now.
        active_connections: u64,
        /// Live nonces.
        nonce_store_size: u64,
        /// Reeve's version.
        version: String,
    }
}
