//! That `udp://` keeps the contract, over either IP.

use zocket_transport::contract;
use zocket_transport::udp::Udp;

#[tokio::test]
async fn the_contract_is_kept_over_either_ip() {
    for at in ["udp://127.0.0.1:*", "udp://[::1]:*"] {
        contract::datagrams(&Udp::new(), &at.parse().expect(at)).await;
    }
}
