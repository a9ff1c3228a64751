//! Plain HTTP requests: a node directly, or the edge as a visitor sees it.

use super::transport::chain;
use crate::config::Timeouts;
use crate::world::{Addresses, Error, Get, Http, Reply, Result};
use async_trait::async_trait;
use http::{header, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use url::Url;

/// The longest body that is kept, in bytes.
const LONGEST_BODY: usize = 1 << 20;

/// Sends requests as a visitor would: no redirect is followed, no connection is kept, so that each answer is a fresh proof.
pub struct Visitor {
    addresses: Addresses,
    only: Option<IpAddr>,
    edge: reqwest::Client,
    node: reqwest::Client,
}

/// The sandbox's edge, which stands for every host name and address but a node's: nothing leaves loopback, whatever a URL
/// says.
#[derive(Debug, Clone)]
pub struct OnlyEdge {
    /// Its loopback address; its ports are moved as [`Addresses`] says.
    pub address: IpAddr,
    /// The only certificate authority that is trusted, as PEM.
    pub authority: Vec<u8>,
}

impl Resolve for OnlyEdge {
    fn resolve(&self, _: Name) -> Resolving {
        // Port 0: the URL's.
        let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(self.address, 0)));
        Box::pin(async move { Ok(addresses) })
    }
}

impl Visitor {
    /// A visitor in life (`None`), or in the sandbox. Errors are `Fatal`: a certificate authority that is none.
    pub fn new(addresses: Addresses, only: Option<OnlyEdge>, timeouts: &Timeouts) -> Result<Self> {
        let broken =
            |e: reqwest::Error| Error::fatal(format!("no HTTP client: {}", chain(&e))).remedy("restart the sandbox");
        let plain = || {
            reqwest::Client::builder()
                .user_agent(concat!("relight/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(timeouts.connect)
                .redirect(Policy::none())
                .pool_max_idle_per_host(0)
                .tcp_nodelay(true)
        };
        let mut edge = plain();
        let address = only.as_ref().map(|only| only.address);
        if let Some(only) = only {
            let authority = reqwest::Certificate::from_pem(&only.authority).map_err(broken)?;
            edge = edge.tls_built_in_root_certs(false).add_root_certificate(authority);
            edge = edge.no_proxy().dns_resolver(Arc::new(only));
        }
        let node = plain().no_proxy().build().map_err(broken)?;
        Ok(Self { addresses, only: address, edge: edge.build().map_err(broken)?, node })
    }

    /// The request, with the address it really goes to and the `Host` it would have had.
    fn request(&self, get: &Get) -> Result<reqwest::RequestBuilder> {
        let bad = |why: String| Error::fatal(format!("`{}`: {why}", get.url)).remedy("correct the URL in relight.yaml");
        let mut url = Url::parse(&get.url).map_err(|e| bad(e.to_string()))?;
        let name = url.host_str().ok_or_else(|| bad("it names no host".to_owned()))?.to_owned();
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name,
        };
        let host = HeaderValue::from_str(&host).map_err(|e| bad(e.to_string()))?;
        let client = if let Some(node) = get.node {
            // A node's Traefik is asked by plain HTTP: it has no certificate that anybody trusts, TLS ends at the edge.
            let address = self.addresses.reach(node, 80);
            let unusable = |()| bad("it cannot be asked of a node".to_owned());
            url.set_scheme("http").map_err(unusable)?;
            url.set_ip_host(address.ip()).map_err(unusable)?;
            url.set_port(Some(address.port())).map_err(unusable)?;
            &self.node
        } else {
            let port = url.port_or_known_default().ok_or_else(|| bad("it has no port".to_owned()))?;
            url.set_port(Some(self.addresses.port(port))).map_err(|()| bad("it has no port".to_owned()))?;
            if let (Some(edge), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_))) = (self.only, url.host()) {
                url.set_ip_host(edge).map_err(|()| bad("it names no host".to_owned()))?;
            }
            &self.edge
        };
        Ok(client.get(url).header(header::HOST, host).timeout(get.timeout))
    }
}

#[async_trait]
impl Http for Visitor {
    async fn get(&self, get: &Get) -> Result<Reply> {
        let asked = get.node.map_or_else(|| get.url.clone(), |node| format!("{} at node {node}", get.url));
        let failed = |e: reqwest::Error| {
            let what = if e.is_timeout() { format!("no answer within {:?}", get.timeout) } else { chain(&e) };
            Error::transient(format!("GET {asked}: {what}")).remedy("look at the ingress and the pods behind it")
        };
        let mut response = self.request(get)?.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let location =
            response.headers().get(header::LOCATION).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() >= LONGEST_BODY {
                body.truncate(LONGEST_BODY);
                break;
            }
        }
        Ok(Reply { status, location, body })
    }
}
