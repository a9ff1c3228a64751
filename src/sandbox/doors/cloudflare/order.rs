//! Bodies of requests, read into the model's words.

use crate::sandbox::model::{ApiError, DnsBatch, RecordChange};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// A body as JSON. Source: Cloudflare's API: 9207 for one that it cannot read.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::new(400, "9207", format!("Request body is invalid: {e}")))
}

/// `null` is a value, absence is none.
#[expect(clippy::option_option, reason = "absent, null and a text are three things to a PATCH")]
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// A record, or the fields of one that shall change.
#[derive(Deserialize)]
#[expect(clippy::option_option, reason = "absent, null and a text are three things to a PATCH")]
pub(super) struct RecordBody {
    id: Option<String>,
    r#type: Option<String>,
    name: Option<String>,
    content: Option<String>,
    proxied: Option<bool>,
    ttl: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    comment: Option<Option<String>>,
}

impl From<RecordBody> for RecordChange {
    fn from(body: RecordBody) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
        let ttl = body.ttl.map(|ttl| ttl as u32);
        let (kind, name, content, proxied, comment) =
            (body.r#type, body.name, body.content, body.proxied, body.comment);
        Self { kind, name, content, proxied, ttl, comment }
    }
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// `POST dns_records/batch`.
#[derive(Deserialize)]
pub(super) struct BatchBody {
    deletes: Option<Vec<Identified>>,
    patches: Option<Vec<RecordBody>>,
    puts: Option<Vec<RecordBody>>,
    posts: Option<Vec<RecordBody>>,
}

impl BatchBody {
    pub(super) fn batch(self) -> Result<DnsBatch, ApiError> {
        let by_id = |list: Option<Vec<RecordBody>>| {
            list.unwrap_or_default()
                .into_iter()
                .map(|mut body| {
                    let missing = || ApiError::new(400, "9207", "Request body is invalid: a record has no id");
                    Ok((body.id.take().ok_or_else(missing)?, body.into()))
                })
                .collect::<Result<Vec<_>, ApiError>>()
        };
        Ok(DnsBatch {
            deletes: self.deletes.unwrap_or_default().into_iter().map(|record| record.id).collect(),
            patches: by_id(self.patches)?,
            puts: by_id(self.puts)?,
            posts: self.posts.unwrap_or_default().into_iter().map(RecordChange::from).collect(),
        })
    }
}
