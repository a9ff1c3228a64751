//! An official API description, and whether what was said over the wire keeps to it.

use serde_json::{json, Value};
use std::collections::BTreeMap;

/// One request and its reply, as they went over the wire.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    /// Below the API's base.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub request: Option<Value>,
    pub status: u16,
    pub reply: Option<Value>,
}

impl Exchange {
    pub fn title(&self) -> String {
        format!("{} {} -> {}", self.method, self.path, self.status)
    }
}

/// A reduced description (tests/support/specs/reduce.py).
pub struct Description(Value);

impl Description {
    pub fn hetzner() -> Self {
        let mut whole: Value = serde_json::from_str(include_str!("specs/hetzner.json")).unwrap();
        // The description names every member that the API sends, so that a member it does not name is a mistake of ours.
        close(&mut whole);
        Self(whole)
    }

    /// The description as it would read at the end of 2026. It is of spring 2026; since then (Hetzner Cloud API changelog)
    /// `datacenter` went from servers, primary IPs and requests (July), primary IPs may be `unassigned` (August), and
    /// `deprecated` of images and server types is giving way to `deprecation`.
    pub fn hetzner_late_2026() -> Self {
        let Self(mut whole) = Self::hetzner();
        each_object(&mut whole, &mut |properties, required| {
            properties.remove("datacenter");
            required.retain(|name| name != "datacenter");
            if let Some(kind) = properties.get_mut("assignee_type") {
                kind["enum"] = json!(["server", "unassigned"]);
            }
            if properties.contains_key("os_flavor") || properties.contains_key("cpu_type") {
                properties.remove("deprecated");
                required.retain(|name| name != "deprecated");
            }
            if properties.contains_key("os_flavor") {
                let times = json!({ "announced": { "type": "string" }, "unavailable_after": { "type": "string" } });
                properties.insert("deprecation".into(), json!({ "type": ["object", "null"], "properties": times }));
                required.push("deprecation".into());
            }
        });
        Self(whole)
    }

    /// Refusals are described as the successful reply *and* the failure at once (`allOf`), which no reply can be: the failure
    /// alone is what the API sends. A record without a comment has `null` there, as the official clients' models say. Of 5xx it
    /// says nothing: where one has a JSON body at all, it is held to the envelope of the failures.
    ///
    /// Three operations are not official text but written by hand (tests/support/specs/reduce.py says which, and from what).
    pub fn cloudflare() -> Self {
        let mut whole: Value = serde_json::from_str(include_str!("specs/cloudflare.json")).unwrap();
        whole["components"]["schemas"]["dns-records_comment"]["type"] = json!(["string", "null"]);
        for methods in whole["paths"].as_object_mut().unwrap().values_mut() {
            for operation in methods.as_object_mut().unwrap().values_mut() {
                let refusal = operation["responses"].get_mut("4XX").unwrap();
                if let Some(failure) = refusal.get("allOf").and_then(Value::as_array).and_then(|parts| parts.last()) {
                    *refusal = failure.clone();
                }
                operation["responses"]["5XX"] = operation["responses"]["4XX"].clone();
            }
        }
        Self(whole)
    }

    /// The operations that are no official text but were written by hand (tests/support/specs/reduce.py).
    pub fn by_hand(&self) -> Vec<String> {
        let all = self.0["paths"].as_object().unwrap().iter();
        let operations =
            all.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |(m, o)| (m, path, o)));
        operations.filter(|(.., o)| o.get("added").is_some()).map(|(m, path, _)| format!("{m} {path}")).collect()
    }

    /// Everything about an exchange that the description does not allow. `proof`: the request is wrong on purpose.
    pub fn complaints(&self, exchange: &Exchange, proof: bool) -> Vec<String> {
        let Some(operation) = self.operation(exchange) else {
            return vec![format!("{}: there is no such operation", exchange.title())];
        };
        let mut found = Vec::new();
        for (name, value) in &exchange.query {
            match operation["query"].get(name) {
                None => found.push(format!("{}: there is no parameter {name}", exchange.title())),
                Some(schema) => found.extend(self.parameter(exchange, name, value, schema)),
            }
        }
        match (&exchange.request, &operation["request"]) {
            (None, _) => {}
            (Some(_), Value::Null) => found.push(format!("{}: takes no body", exchange.title())),
            (Some(_), _) if proof => {}
            (Some(body), schema) => found.extend(self.against(schema, body, &exchange.title(), "request")),
        }
        let exact = exchange.status.to_string();
        let family = format!("{}XX", exchange.status / 100);
        let replies = &operation["responses"];
        match replies.get(&exact).or_else(|| replies.get(&family)) {
            None => found.push(format!("{}: never has this status", exchange.title())),
            Some(Value::Null) if exchange.reply.is_none() => {}
            Some(Value::Null) => found.push(format!("{}: has no body", exchange.title())),
            Some(schema) => match &exchange.reply {
                Some(body) => found.extend(self.against(schema, body, &exchange.title(), "reply")),
                None => found.push(format!("{}: has no JSON body", exchange.title())),
            },
        }
        found
    }

    /// A parameter is a text on the wire, and may be one of a list.
    fn parameter(&self, exchange: &Exchange, name: &str, value: &str, schema: &Value) -> Vec<String> {
        let mut forms = vec![json!(value), json!([value])];
        forms.extend(serde_json::from_str::<Value>(value).into_iter().flat_map(|v| [v.clone(), json!([v])]));
        let title = format!("{} parameter {name}={value}", exchange.title());
        let verdicts: Vec<_> = forms.iter().map(|form| self.against(schema, form, &title, "query")).collect();
        if verdicts.iter().any(Vec::is_empty) {
            return vec![];
        }
        verdicts.into_iter().flatten().collect()
    }

    fn against(&self, schema: &Value, value: &Value, title: &str, part: &str) -> Vec<String> {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&whole).expect("a schema");
        validator.iter_errors(value).map(|e| format!("{title}: {part}{}: {e}", e.instance_path)).collect()
    }

    /// The operation whose path fits best: words count more than parameters.
    fn operation(&self, exchange: &Exchange) -> Option<&Value> {
        let asked: Vec<&str> = exchange.path.split('/').collect();
        let fitting = self.0["paths"].as_object()?.iter().filter_map(|(path, methods)| {
            let template: Vec<&str> = path.split('/').collect();
            let fits =
                template.len() == asked.len() && template.iter().zip(&asked).all(|(t, a)| t.starts_with('{') || t == a);
            let words = template.iter().filter(|t| !t.starts_with('{')).count();
            fits.then_some((words, methods))
        });
        let (_, methods) = fitting.max_by_key(|(words, _)| *words)?;
        methods.get(exchange.method.to_lowercase())
    }

    /// How many of the described operations were spoken, for the last line of a test.
    pub fn coverage(exchanges: &[Exchange]) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for exchange in exchanges {
            *count.entry(format!("{} {}", exchange.method, exchange.status)).or_default() += 1;
        }
        count
    }
}

type Properties = serde_json::Map<String, Value>;

/// Visits every schema that lists properties.
fn each_object(node: &mut Value, visit: &mut dyn FnMut(&mut Properties, &mut Vec<String>)) {
    match node {
        Value::Array(list) => list.iter_mut().for_each(|one| each_object(one, visit)),
        Value::Object(members) => {
            members.values_mut().for_each(|one| each_object(one, visit));
            let names = |list: &Value| {
                list.as_array().map(|l| l.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect())
            };
            let mut required: Vec<String> = members.get("required").and_then(names).unwrap_or_default();
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                visit(properties, &mut required);
                members.insert("required".into(), json!(required));
            }
        }
        _ => {}
    }
}

/// Says of every schema that lists properties that there are no others.
fn close(node: &mut Value) {
    match node {
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".into(), false.into());
            }
        }
        _ => {}
    }
}
