//! A message as JSON to a receiver of the operator's; see `docs/operations.md`.

use super::http::{self, Http};
use super::{Error, Sink, document};
use crate::config::web;
use crate::domain::message::Message;

#[derive(Debug)]
pub(super) struct Webhook {
    http: Http,
    collector: String,
}

impl Webhook {
    pub(super) fn new(place: String, settings: &web::Http, collector: &str) -> Self {
        Webhook { http: Http::new(place, settings, ""), collector: collector.to_owned() }
    }
}

impl Sink for Webhook {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        let json = document::json(&self.collector, message).map_err(|error| Error::Ours(error.to_string()))?;
        self.http.post(http::idempotency(&message.id)?, json).await
    }
}
