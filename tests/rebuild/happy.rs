//! Nothing goes wrong: three nodes, the health check answers, nothing foreign is touched.

use crate::life::Life;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{gross, lock, Fault, FaultKind, Loss, Matcher, IPV4_MONTHLY};

#[test]
fn a_rebuild_ends_with_the_health_check_answering_through_the_edge() {
    for loss in [Loss::Off, Loss::Gone] {
        let life = Life::lost(loss);
        let wire = Tripwire::new();
        let end = life.process(&wire);
        let told: Vec<_> = life.events().into_iter().map(|(at, e)| format!("{at} {e:?}")).collect();
        assert_eq!(end.outcome(), "succeeded", "{end:?}\n{}", told.join("\n"));
        assert_eq!(life.broken_promises(), Vec::<String>::new());
        println!("{} points; {end:?}", wire.points().len());
    }
}

fn cost_of(life: &Life) -> Option<relight::engine::Cost> {
    match life.process(&Tripwire::new()) {
        crate::life::End::Finished(end) => end.cost,
        end => panic!("{end:?}"),
    }
}

#[test]
fn a_run_ends_with_what_the_new_and_the_fenced_servers_cost_by_the_clouds_own_prices() {
    let life = Life::lost(Loss::Off);
    let (server, address) = {
        let mut model = lock(&life.sandbox.model);
        let sale = model.offer.types.get_mut("cx33").unwrap().sales.iter_mut().find(|s| s.location == "nbg1").unwrap();
        sale.monthly = "7.1100".to_owned();
        (7.11, IPV4_MONTHLY.parse::<f64>().unwrap())
    };
    let cost = cost_of(&life).expect("the price list can be read");
    let net = 3.0 * (server + address);
    let close = |a: f64, b: f64| (a - b).abs() < 0.006;
    assert_eq!((cost.currency.as_str(), cost.servers, cost.fenced), ("EUR", 3, 3));
    assert!(close(cost.monthly_net, net) && close(cost.fenced_monthly_net, net), "{cost:?}");
    assert!(close(cost.monthly_gross, gross(net)) && close(cost.fenced_monthly_gross, gross(net)), "{cost:?}");
}

#[test]
fn a_price_list_that_cannot_be_read_or_lacks_a_price_fails_nothing_and_is_no_sum() {
    let life = Life::lost(Loss::Off);
    lock(&life.sandbox.model)
        .offer
        .types
        .get_mut("cx33")
        .unwrap()
        .sales
        .iter_mut()
        .for_each(|s| s.monthly = "?".into());
    assert_eq!(cost_of(&life), None);
    let hangs = Life::lost(Loss::Gone);
    // The first readings are those of preflight and of the look at the stock.
    let fault = Fault::always(Matcher::op("cloud.offer.list").nth(4), FaultKind::Down);
    let id = lock(&hangs.sandbox.model).faults.plan(fault);
    assert_eq!(cost_of(&hangs), None);
    assert_eq!(lock(&hangs.sandbox.model).faults.fired(id), 1);
}
