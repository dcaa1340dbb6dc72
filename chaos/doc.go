// Package chaos tests whole programs in trouble: gateways, brokers and workers are
// processes that are killed and stopped under load, over links that are cut and
// stalled. It has no code but tests, and needs Linux. Where it may create network
// namespaces, it also drops real packets.
//
// TestChaos runs for 25 s, or as long as -chaos says (make chaos: 10 min). make soak
// runs a steady load for an hour. Tests that measure memory or times run one after
// the other; all others run in parallel.
package chaos
