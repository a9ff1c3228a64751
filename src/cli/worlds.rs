//! Which outside a command acts in: the real one, from tokens; or the sandbox, from its card.

use super::card::Card;
use super::exit::{Exit, Stop};
use crate::config::Settings;
use crate::providers::{
    Cloudflare, Generated, Hetzner, KubeApi, NoDns, OnlyEdge, OpenSsh, Operator, OsRandom, RunFiles, Secrets,
    SystemClock, Visitor,
};
use crate::world::{Addresses, Clock, Cloud, Dns, Person, Secret, SecretSource, Shell, World, WorldKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Hetzner's API.
pub const HCLOUD: &str = "https://api.hetzner.cloud/v1";
/// Cloudflare's API.
pub const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// The variable with the token of the project that rehearsals are in.
const REHEARSAL_TOKEN: &str = "HCLOUD_TOKEN_REHEARSAL";

/// The variable with the token of the zone that rehearsals have names in.
const REHEARSAL_DNS: &str = "CLOUDFLARE_API_TOKEN_REHEARSAL";

/// relight's environment, as `main` took it before the runtime started.
pub type Environment = BTreeMap<String, Secret>;

/// Where the APIs are, and with which tokens.
struct Doors {
    kind: WorldKind,
    uid: String,
    hcloud: (String, Secret),
    cloudflare: (String, Secret),
    addresses: Addresses,
    only: Option<OnlyEdge>,
    operator: Operator,
    clock: Arc<dyn Clock>,
}

fn token(environment: &Environment, name: &str) -> Result<Secret, Stop> {
    let found = environment.get(name).filter(|value| !value.expose().is_empty()).cloned();
    found.ok_or_else(|| Stop::usage(format!("{name} is not set"), format!("export {name}, or add --sandbox to try it")))
}

/// Refuses an environment that points somewhere else than the real clouds: a live run that talks to a sandbox, or the other
/// way round, must not happen by a forgotten variable.
pub fn no_leftovers(environment: &Environment) -> Result<(), Stop> {
    for (name, real) in [("HCLOUD_ENDPOINT", HCLOUD), ("CLOUDFLARE_BASE_URL", CLOUDFLARE)] {
        let value = environment.get(name).and_then(Secret::expose_str).unwrap_or_default().trim_end_matches('/');
        if !value.is_empty() && value != real {
            let what = format!("{name} is set to {value}, which is not the real API ({real})");
            return Err(Stop::usage(what, format!("unset {name}, or add --sandbox")));
        }
    }
    Ok(())
}

/// The tokens of production, or those of a rehearsal: of another project, and of another zone where it has names, else none of
/// Cloudflare's.
fn tokens(environment: &Environment, settings: &Settings) -> Result<(Secret, Secret), Stop> {
    if settings.spare.is_none() {
        return Ok((token(environment, "HCLOUD_TOKEN")?, token(environment, "CLOUDFLARE_API_TOKEN")?));
    }
    let of_its_own = |name: &str, production: &str, remedy: &str| {
        let spare = token(environment, name)?;
        match environment.get(production).is_some_and(|live| live.expose() == spare.expose()) {
            true => Err(Stop::new(Exit::Refused, format!("{name} is the same token as {production}"), remedy)),
            false => Ok(spare),
        }
    };
    let spare = of_its_own(REHEARSAL_TOKEN, "HCLOUD_TOKEN", "make a project for rehearsals, and a token in it")?;
    if settings.dns.hosts.is_empty() {
        return Ok((spare, Secret::new(String::new())));
    }
    let remedy = format!("make a token with Zone:Read and DNS:Edit on zone {} alone", settings.dns.zone);
    Ok((spare, of_its_own(REHEARSAL_DNS, "CLOUDFLARE_API_TOKEN", &remedy)?))
}

fn real(environment: &Environment, settings: &Settings) -> Result<Doors, Stop> {
    no_leftovers(environment)?;
    let (hcloud, cloudflare) = tokens(environment, settings)?;
    Ok(Doors {
        kind: WorldKind::Real,
        // A token belongs to one project: its digest tells projects apart and tells nobody the token.
        uid: crate::world::sha256_hex(hcloud.expose()).chars().take(16).collect(),
        hcloud: (HCLOUD.to_owned(), hcloud),
        cloudflare: (CLOUDFLARE.to_owned(), cloudflare),
        addresses: Addresses::identity(),
        only: None,
        operator: Operator::person(),
        clock: Arc::new(SystemClock::wall()),
    })
}

fn sandbox(card: &Card, settings: &Settings) -> Doors {
    let (token, dns_token) = match settings.spare.is_some() {
        true => (&card.hcloud_token_rehearsal, &card.cloudflare_api_token_rehearsal),
        false => (&card.hcloud_token, &card.cloudflare_api_token),
    };
    Doors {
        kind: WorldKind::Sandbox,
        uid: card.uid.clone(),
        hcloud: (card.hcloud_endpoint.clone(), Secret::new(token.clone())),
        cloudflare: (card.cloudflare_base_url.clone(), Secret::new(dns_token.clone())),
        addresses: Addresses::sandbox(),
        only: Some(OnlyEdge { address: card.edge, authority: card.authority.clone().into_bytes() }),
        operator: Operator::Sandbox { directory: card.operator.clone() },
        clock: Arc::new(clock(card)),
    }
}

/// What a look at a project alone needs.
pub struct Project {
    /// The cloud, of one project.
    pub cloud: Arc<dyn Cloud>,
    /// What time it is there.
    pub clock: Arc<dyn Clock>,
}

/// The project of these settings alone, for a look: the sandbox's of the card, or the real ones.
pub fn project(settings: &Settings, environment: &Environment, card: Option<&Card>) -> Result<Project, Stop> {
    let doors = match card {
        Some(card) => sandbox(card, settings),
        None => real(environment, settings)?,
    };
    let Doors { hcloud, clock, .. } = doors;
    let cloud = Arc::new(Hetzner::new(&hcloud.0, &hcloud.1, Arc::clone(&clock), &settings.timeouts)?);
    Ok(Project { cloud, clock })
}

/// Whether there is a token of the project that rehearsals are in.
pub fn has_rehearsal_token(environment: &Environment) -> bool {
    token(environment, REHEARSAL_TOKEN).is_ok()
}

/// The sandbox's clock: every process that looks at it agrees on the time.
pub fn clock(card: &Card) -> SystemClock {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let passed = wall.saturating_sub(Duration::from_millis(card.wall_ms)).mul_f64(card.factor);
    SystemClock::from(Duration::from_millis(card.clock_ms) + passed, card.factor)
}

/// Who runs relight here, for other operators to read: `user.host`.
fn holder(environment: &Environment) -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| environment.get(*name)?.expose_str());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let words = [user.map(str::to_owned), host];
    words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(".")
}

/// The outside of a run: the sandbox of the card, or the real one.
pub fn world(
    settings: &Settings,
    environment: &Environment,
    card: Option<&Card>,
    directory: &Path,
    person: Arc<dyn Person>,
) -> Result<World, Stop> {
    let doors = match card {
        Some(card) => sandbox(card, settings),
        None => real(environment, settings)?,
    };
    let random = Arc::new(OsRandom);
    let Doors { kind, uid, hcloud, cloudflare, addresses, only, operator, clock } = doors;
    let shell: Arc<dyn Shell> = Arc::new(OpenSsh::new(addresses, operator, Arc::clone(&clock), random.clone())?);
    let own: Arc<dyn SecretSource> = Arc::new(Secrets::new(environment.clone(), settings.base.clone()));
    let secrets: Arc<dyn SecretSource> = match kind {
        WorldKind::Real => own,
        _ => Arc::new(Generated::new(own, uid.clone())),
    };
    let files = RunFiles::open(directory).map_err(|error| {
        Stop::usage(format!("{}: {error}", directory.display()), "make the state directory writable")
    })?;
    let timeouts = &settings.timeouts;
    let dns: Arc<dyn Dns> = match settings.dns.hosts.is_empty() {
        true => Arc::new(NoDns),
        false => Arc::new(Cloudflare::new(&cloudflare.0, &cloudflare.1, Arc::clone(&clock), timeouts)?),
    };
    Ok(World {
        kind,
        uid,
        holder: holder(environment),
        cloud: Arc::new(Hetzner::new(&hcloud.0, &hcloud.1, Arc::clone(&clock), timeouts)?),
        dns,
        cluster: Arc::new(KubeApi::new(Arc::clone(&shell), timeouts.clone())),
        shell,
        http: Arc::new(Visitor::new(addresses, only, timeouts)?),
        files: Arc::new(files),
        clock,
        random,
        secrets,
        person,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of(zone: bool, given: &[(&str, &str)]) -> Result<(Secret, Secret), Stop> {
        let mut live = crate::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        live.rehearsal.zone = zone.then(|| "example.org".to_owned());
        let environment = given.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        tokens(&environment, &live.rehearsed_as("abcdefghijkl").unwrap())
    }

    #[test]
    fn a_rehearsal_with_names_wants_a_dns_token_of_its_own_and_never_takes_productions() {
        let production = [("HCLOUD_TOKEN", "a"), ("CLOUDFLARE_API_TOKEN", "b"), (REHEARSAL_TOKEN, "c")];
        let (spare, none) = tokens_of(false, &production).unwrap();
        assert_eq!((spare.expose(), none.expose()), (&b"c"[..], &b""[..]), "without names it has none");
        let missing = tokens_of(true, &production).err().unwrap();
        assert!(missing.what.contains("CLOUDFLARE_API_TOKEN_REHEARSAL is not set"), "{missing}");
        let with = |own: &'static str| tokens_of(true, &[production.as_slice(), &[(REHEARSAL_DNS, own)]].concat());
        assert_eq!(with("d").unwrap().1.expose(), b"d");
        let same = with("b").err().unwrap();
        assert!(same.exit == Exit::Refused && same.remedy.contains("on zone example.org alone"), "{same}");
    }
}
