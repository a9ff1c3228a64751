//! From kinds to paths, by discovery.

use super::connect::Connection;
use crate::world::Kind;
use kube::core::discovery::Scope;
use kube::discovery::Discovery;

/// Where a kind's objects are.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    base: String,
    plural: String,
    namespaced: bool,
}

impl Resource {
    /// The path of one object, or with an empty name of all. Kinds without namespaces ignore one; objects of the others lie in
    /// `default` where none is said, and `None` with an empty name is all namespaces.
    pub fn path(&self, namespace: Option<&str>, name: &str) -> String {
        let namespace = if name.is_empty() { namespace } else { Some(namespace.unwrap_or("default")) };
        let home = namespace.filter(|_| self.namespaced).map(|n| format!("namespaces/{n}/")).unwrap_or_default();
        let slash = if name.is_empty() { "" } else { "/" };
        format!("{}/{home}{}{slash}{name}", self.base, self.plural)
    }
}

impl Connection {
    /// Where a kind's objects are. One that is not known is asked for once more, so that a definition applied a moment ago is
    /// found; `None` where the server does not serve it.
    pub async fn resource(&self, kind: &Kind) -> Result<Option<Resource>, kube::Error> {
        let mut known = self.kinds.lock().await;
        if let Some(found) = known.get(kind) {
            return Ok(Some(found.clone()));
        }
        let discovery = match Discovery::new(self.client.clone()).run_aggregated().await {
            Ok(found) => found,
            // Older servers, and an extension server that is down, which the plain form can leave out.
            Err(_) => Discovery::new(self.client.clone()).run().await?,
        };
        known.clear();
        for group in discovery.groups() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let base = if resource.group.is_empty() {
                        format!("/api/{}", resource.version)
                    } else {
                        format!("/apis/{}", resource.api_version)
                    };
                    let namespaced = matches!(capabilities.scope, Scope::Namespaced);
                    let found = Resource { base, plural: resource.plural.clone(), namespaced };
                    known.insert(Kind::new(resource.api_version, resource.kind), found);
                }
            }
        }
        Ok(known.get(kind).cloned())
    }
}
