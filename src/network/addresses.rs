//! The addresses of a new network: its subnets, and in each the gateway and what is given out.
//!
//! Invariant: pure; what is chosen here is nobody else's, and has an address for a container.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::create::{Driver, NewNetwork};
use super::create_error::CreateError;
use super::pool::hosts;
use super::subnets::{Surroundings, others, overlap, pick_v4, pick_v6, shown, special, taken};

impl NewNetwork {
    pub(super) fn choose_subnets(
        &self,
        around: &Surroundings<'_>,
    ) -> Result<Vec<IpNet>, CreateError> {
        for subnet in &self.subnets {
            self.check_subnet(*subnet, around)?;
        }
        let of_family = |v4: bool| {
            self.subnets
                .iter()
                .filter(move |net| net.addr().is_ipv4() == v4)
        };
        for v4 in [true, false] {
            if let Some(second) = of_family(v4).nth(1) {
                return Err(CreateError::SecondSubnet(*second));
            }
        }
        let mut subnets = self.subnets.clone();
        // Only IPv6 was named: then that is what is wanted, unless it is to come beside.
        if subnets.is_empty() || self.ipv6 && of_family(true).next().is_none() {
            let none = || CreateError::Exhausted(shown(around.pools, true));
            subnets.push(pick_v4(around).ok_or_else(none)?);
        }
        if self.ipv6 && of_family(false).next().is_none() {
            let picked = pick_v6(&self.name, around);
            let none = || CreateError::Exhausted(shown(around.pools, false));
            subnets.push(picked.ok_or_else(none)?);
        }
        Ok(subnets)
    }

    fn check_subnet(&self, subnet: IpNet, around: &Surroundings<'_>) -> Result<(), CreateError> {
        if subnet.addr() != subnet.network() {
            let proposal = subnet.trunc();
            return Err(CreateError::HostBits { subnet, proposal });
        }
        if let Some(special) = special(&subnet) {
            return Err(CreateError::Special { subnet, special });
        }
        if hosts(subnet).is_none() {
            return Err(CreateError::Unusable(subnet));
        }
        if let Some((other, name)) = others(around).find(|(other, _)| overlap(&subnet, other)) {
            let by = format!("network \"{name}\" ({other})");
            return Err(CreateError::Overlap { subnet, by });
        }
        // Beside an interface of the host, its network is just what is wanted.
        let mut routes = taken(around).filter(|_| self.driver == Driver::Bridge);
        match routes.find(|route| overlap(&subnet, route)) {
            Some(route) => Err(CreateError::Overlap {
                subnet,
                by: format!("a route of this host ({route})"),
            }),
            None => Ok(()),
        }
    }

    /// The plugin's range sets, one for each subnet.
    pub(super) fn ranges(&self, subnets: &[IpNet]) -> Result<Vec<Value>, CreateError> {
        let mut sets = Vec::new();
        let within = |address: &IpAddr, net: &IpNet| net.contains(address);
        for gateway in &self.gateways {
            if !subnets.iter().any(|net| within(gateway, net)) {
                return Err(CreateError::Gateway(*gateway));
            }
        }
        for &range in &self.ip_ranges {
            if range.trunc() != range {
                let (subnet, proposal) = (range, range.trunc());
                return Err(CreateError::HostBits { subnet, proposal });
            }
            let range = &range;
            if !subnets.iter().any(|net| net.contains(range)) {
                return Err(CreateError::Range(*range));
            }
        }
        for subnet in subnets {
            let (first, last) = hosts(*subnet).ok_or(CreateError::Unusable(*subnet))?;
            let mut gateways = self
                .gateways
                .iter()
                .filter(|gateway| within(gateway, subnet));
            let gateway = gateways.next().copied().unwrap_or(first);
            if let Some(second) = gateways.next() {
                return Err(CreateError::SecondGateway(*second));
            }
            if gateway < first || gateway > last {
                let subnet = *subnet;
                return Err(CreateError::UnusableGateway { gateway, subnet });
            }
            let mut set = json!({"subnet": subnet, "gateway": gateway});
            let mut ranges = self
                .ip_ranges
                .iter()
                .filter(|range| subnet.contains(*range));
            if let Some(range) = ranges.next() {
                // Without the addresses of the whole that no interface can have.
                let (start, end) = (range.network().max(first), range.broadcast().min(last));
                let nobodys = start > end || (start == end && start == gateway);
                if nobodys {
                    return Err(CreateError::EmptyRange(*range));
                }
                set["rangeStart"] = json!(start);
                set["rangeEnd"] = json!(end);
            }
            if let Some(second) = ranges.next() {
                return Err(CreateError::SecondRange(*second));
            }
            sets.push(json!([set]));
        }
        Ok(sets)
    }
}
