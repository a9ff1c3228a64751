//! The HTTP API as a function: a request in, a reply out. No socket, no clock.

use super::failure::Failure;
use super::kinds::Served;
use super::lists::Selection;
use super::read::{list, name, set, text};
use super::requests::{Named, PatchKind, Writer};
use super::selector::Labels;
use super::store::Objects;
use super::table;
use super::watch::Watch;
use serde_json::{json, Value};
use std::sync::Arc;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Without query.
    pub path: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// The header.
    pub accept: String,
    /// The header.
    pub content_type: String,
    /// The header: names the field manager of whoever names none.
    pub user_agent: String,
    /// JSON or YAML.
    pub body: Vec<u8>,
}

impl Asked {
    /// A parameter of the query, empty where it is not given.
    pub fn parameter(&self, key: &str) -> &str {
        self.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }
    fn body(&self) -> Result<Value, Failure> {
        if self.content_type.contains("protobuf") {
            let unreadable = || Failure::bad_request("the body is no protobuf of a kind served here");
            return super::protobuf::read(&self.body).ok_or_else(unreadable);
        }
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body)
            .or_else(|_| serde_yaml::from_slice(&self.body))
            .map_err(|e| Failure::bad_request(format!("the body of the request cannot be read: {e}")))
    }
    fn writer(&self, subresource: &str) -> Writer {
        let manager = match self.parameter("fieldManager") {
            "" => self.user_agent.split(['/', ' ']).next().unwrap_or_default(),
            named => named,
        };
        Writer {
            manager: if manager.is_empty() { "unknown".into() } else { manager.to_owned() },
            dry_run: self.parameter("dryRun") == "All",
            strict: self.parameter("fieldValidation") == "Strict",
            subresource: subresource.to_owned(),
        }
    }
    pub(super) fn selection(&self, namespace: &str, name: &str) -> Result<Selection, Failure> {
        let mut fields = self.parameter("fieldSelector").to_owned();
        if !name.is_empty() {
            fields = format!("metadata.name={name},{fields}");
        }
        Ok(Selection {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            labels: Labels::parse(self.parameter("labelSelector"))?,
            fields,
        })
    }
}

/// A reply.
#[derive(Debug)]
pub enum Answer {
    /// A whole one.
    Whole {
        /// HTTP status.
        status: u16,
        /// The header.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
        /// The header, in seconds.
        retry_after: Option<u32>,
    },
    /// Lines of JSON until the time is over.
    Watch(Watch),
}

impl Answer {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::Whole {
            status,
            content_type: "application/json",
            body: value.to_string().into_bytes(),
            retry_after: None,
        }
    }
    pub(super) fn text(body: impl Into<String>) -> Self {
        Self::Whole {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            body: body.into().into_bytes(),
            retry_after: None,
        }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let body = failure.status().to_string().into_bytes();
        Self::Whole { status: failure.code, content_type: "application/json", body, retry_after: failure.retry_after }
    }
}

/// A path taken apart.
struct Place {
    served: Arc<Served>,
    namespace: String,
    name: String,
    subresource: String,
}

impl Objects {
    /// Answers one request. The caller has let the time pass ([`Objects::advance`]) and checked who asks.
    pub fn answer(&mut self, asked: &Asked) -> Answer {
        if let Some(answer) = self.discover(asked) {
            return answer;
        }
        self.resources_answer(asked).unwrap_or_else(Answer::from)
    }
    fn place(&self, path: &str) -> Result<Place, Failure> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Failure::no_such_resource()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", home, plural, more @ ..]
                if !(group.is_empty() && matches!(*plural, "status" | "finalize")) =>
            {
                (*home, [&[*plural], more].concat())
            }
            other => ("", other.to_vec()),
        };
        let (plural, name, subresource) = match rest.as_slice() {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, sub] => (*plural, *name, *sub),
            _ => return Err(Failure::no_such_resource()),
        };
        let served = self.resource(group, version, plural).ok_or_else(Failure::no_such_resource)?;
        if !subresource.is_empty() && !served.has(subresource) {
            return Err(Failure::no_such_resource());
        }
        let text = |s: &str| s.to_owned();
        Ok(Place { served, namespace: text(namespace), name: text(name), subresource: text(subresource) })
    }
    /// Logs, evictions and scales; `None` for what is answered like the object itself.
    fn subresource_answer(
        &mut self,
        asked: &Asked,
        what: &Named,
        subresource: &str,
    ) -> Result<Option<Answer>, Failure> {
        match (asked.method.as_str(), subresource) {
            ("GET", "log") => {
                let previous = asked.parameter("previous") == "true";
                let lines = self.log(&what.namespace, &what.name, asked.parameter("container"), previous)?;
                let tail: usize = asked.parameter("tailLines").parse().unwrap_or(usize::MAX);
                let all: Vec<&str> = lines.lines().collect();
                let kept = all.get(all.len().saturating_sub(tail)..).unwrap_or_default();
                Ok(Some(Answer::text(kept.iter().flat_map(|l| [*l, "\n"]).collect::<String>())))
            }
            ("POST", "eviction") => {
                self.evict(&what.namespace, &what.name, asked.parameter("dryRun") == "All")?;
                let done = Answer::json(
                    201,
                    &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                );
                Ok(Some(done))
            }
            (_, "scale") => self.scale_answer(asked, what).map(Some),
            _ => Ok(None),
        }
    }
    fn resources_answer(&mut self, asked: &Asked) -> Result<Answer, Failure> {
        let place = self.place(&asked.path)?;
        let what = Named { served: place.served.clone(), namespace: place.namespace.clone(), name: place.name.clone() };
        if let Some(answer) = self.subresource_answer(asked, &what, &place.subresource)? {
            return Ok(answer);
        }
        let watching = matches!(asked.parameter("watch"), "true" | "1");
        let writer = asked.writer(&place.subresource);
        match asked.method.as_str() {
            "GET" if watching => self.watch(asked, &place.served, &place.namespace, &place.name).map(Answer::Watch),
            "GET" if place.name.is_empty() => self.list_answer(asked, &place),
            "GET" => Ok(self.shown(asked, &place.served, 200, &*self.get(&what)?)),
            "POST" if place.name.is_empty() => {
                let made = self.create(what, asked.body()?, &writer)?;
                Ok(self.shown(asked, &place.served, 201, &made))
            }
            "PUT" => {
                let stored = self.update(&what, asked.body()?, &writer)?;
                Ok(self.shown(asked, &place.served, 200, &stored))
            }
            "PATCH" => {
                let fresh = self.get(&what).is_err();
                let stored = self.patch(&what, patch_kind(asked)?, asked.body()?, &writer)?;
                Ok(self.shown(asked, &place.served, if fresh { 201 } else { 200 }, &stored))
            }
            "DELETE" if place.name.is_empty() => {
                let selection = asked.selection(&place.namespace, "")?;
                let options = delete_options(asked)?;
                for object in self.select(&place.served, &selection) {
                    let one = Named {
                        namespace: text(&object, "/metadata/namespace").into(),
                        name: name(&object).into(),
                        ..what.clone()
                    };
                    self.delete(&one, &options, writer.dry_run)?;
                }
                self.list_answer(asked, &place)
            }
            "DELETE" => {
                let options = delete_options(asked)?;
                let dry_run = writer.dry_run || list(&options, "/dryRun").iter().any(|d| d == "All");
                Ok(Answer::json(200, &self.delete(&what, &options, dry_run)?))
            }
            _ => Err(Failure::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        }
    }
    /// The scale subresource: replicas read and written apart from the rest.
    fn scale_answer(&mut self, asked: &Asked, what: &Named) -> Result<Answer, Failure> {
        let shown = |o: &Value| {
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": name(o), "namespace": text(o, "/metadata/namespace"),
                "uid": text(o, "/metadata/uid"), "resourceVersion": text(o, "/metadata/resourceVersion")},
                "spec": {"replicas": o.pointer("/spec/replicas")}, "status": {"replicas": o.pointer("/status/replicas").cloned().unwrap_or(json!(0))}})
        };
        let before = self.get(what)?;
        if asked.method == "GET" {
            return Ok(Answer::json(200, &shown(&before)));
        }
        let replicas = asked.body()?.pointer("/spec/replicas").cloned().unwrap_or_default();
        let patch = json!({"spec": {"replicas": replicas}});
        // The field is the scale's writer's now, as on the real server.
        let stored = self.patch(what, PatchKind::Merge, patch, &asked.writer("scale"))?;
        Ok(Answer::json(200, &shown(&stored)))
    }
    /// One object in the form that was asked for.
    fn shown(&self, asked: &Asked, served: &Served, status: u16, object: &Value) -> Answer {
        if asked.accept.contains("as=Table") {
            let rows = [Arc::new(object.clone())];
            return Answer::json(status, &table::of(served, &rows, self.revision(), self.now));
        }
        if asked.accept.contains("as=PartialObjectMetadata") {
            return Answer::json(status, &partial(object));
        }
        Answer::json(status, object)
    }
    fn list_answer(&self, asked: &Asked, place: &Place) -> Result<Answer, Failure> {
        let found = self.select(&place.served, &asked.selection(&place.namespace, "")?);
        if asked.accept.contains("as=Table") {
            return Ok(Answer::json(200, &table::of(&place.served, &found, self.revision(), self.now)));
        }
        let (api_version, kind) = if asked.accept.contains("as=PartialObjectMetadata") {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
        } else {
            (place.served.api_version(), format!("{}List", place.served.kind))
        };
        let items: Vec<Value> = if kind == "PartialObjectMetadataList" {
            found.iter().map(|o| partial(o)).collect()
        } else {
            found.iter().map(|o| (**o).clone()).collect()
        };
        let metadata = json!({"resourceVersion": self.revision().to_string()});
        Ok(Answer::json(200, &json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "items": items})))
    }
}

fn patch_kind(asked: &Asked) -> Result<PatchKind, Failure> {
    match asked.content_type.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchKind::Strategic),
        "application/apply-patch+yaml" => Ok(PatchKind::Apply { force: asked.parameter("force") == "true" }),
        other => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format: {other}"),
        )),
    }
}

/// Options of a deletion, from the body and the query.
fn delete_options(asked: &Asked) -> Result<Value, Failure> {
    let mut options = asked.body()?;
    if !asked.parameter("propagationPolicy").is_empty() {
        set(&mut options, &["propagationPolicy"], asked.parameter("propagationPolicy"));
    }
    if let Ok(seconds) = asked.parameter("gracePeriodSeconds").parse::<i64>() {
        set(&mut options, &["gracePeriodSeconds"], seconds);
    }
    Ok(options)
}

fn partial(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object.get("metadata")})
}
