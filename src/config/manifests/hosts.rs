//! Manifests of a cluster that answers for other names too: what routes by the host of a request routes these as it does those
//! that they stand for.

use super::Manifest;
use serde_json::{json, Value};

/// The manifests, answering for the second name of each pair as for the first.
pub(super) fn named(mut manifests: Vec<Manifest>, names: &[(String, String)]) -> Vec<Manifest> {
    for manifest in manifests.iter_mut().filter(|_| !names.is_empty()) {
        match manifest.object.get("kind").and_then(Value::as_str) {
            Some("Ingress") => rules(&mut manifest.object, names),
            Some("IngressRoute") => matches(&mut manifest.object, names),
            _ => {}
        }
    }
    manifests
}

fn rules(ingress: &mut Value, names: &[(String, String)]) {
    let Some(rules) = ingress.pointer_mut("/spec/rules").and_then(Value::as_array_mut) else { return };
    let mut more = Vec::new();
    for rule in rules.iter() {
        let host = rule.get("host").and_then(Value::as_str);
        for (_, name) in names.iter().filter(|(of, _)| host == Some(of)) {
            let mut other = rule.clone();
            if let Some(host) = other.get_mut("host") {
                *host = json!(name);
            }
            more.push(other);
        }
    }
    rules.extend(more);
}

/// Traefik's own routes. Source: Traefik, "Routers", rule matchers.
fn matches(route: &mut Value, names: &[(String, String)]) {
    let routes = route.pointer_mut("/spec/routes").and_then(Value::as_array_mut);
    for of in routes.into_iter().flatten().filter_map(|route| route.get_mut("match")) {
        let Some(text) = of.as_str().map(str::to_owned) else { continue };
        let both = names.iter().fold(text, |text, (host, name)| {
            text.replace(&format!("Host(`{host}`)"), &format!("(Host(`{host}`) || Host(`{name}`))"))
        });
        *of = json!(both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_routes_by_host_routes_the_other_name_too_and_nothing_else_changes() {
        let ingress = json!({ "kind": "Ingress", "spec": { "rules": [
            { "host": "api.c.com", "http": { "paths": [1] } }, { "http": {} }, { "host": "c.com" },
        ] } });
        let route = json!({ "kind": "IngressRoute", "spec": { "routes": [{ "match": "Host(`api.c.com`) && PathPrefix(`/`)" }] } });
        let service = json!({ "kind": "Service", "spec": { "rules": [{ "host": "api.c.com" }] } });
        let all = [ingress, route, service.clone()].map(|object| Manifest { file: "m.yaml".into(), line: 1, object });
        let names = [("api.c.com".to_owned(), "api-r-x.t.org".to_owned())];
        let end: Vec<Value> = named(all.to_vec(), &names).into_iter().map(|m| m.object).collect();
        let rules = end[0]["spec"]["rules"].as_array().unwrap();
        assert_eq!((rules.len(), &rules[3]), (4, &json!({ "host": "api-r-x.t.org", "http": { "paths": [1] } })));
        let wanted = "(Host(`api.c.com`) || Host(`api-r-x.t.org`)) && PathPrefix(`/`)";
        assert_eq!(end[1]["spec"]["routes"][0]["match"], wanted);
        assert_eq!(end[2], service);
        assert_eq!(named(all.to_vec(), &[]), all);
    }
}
