// Package chaos holds tests of whole programs in trouble: gateways, brokers and
// workers as processes of their own, which are killed and stopped, over links
// that are cut and stalled, under load. It has no code but tests, and needs
// Linux; where it may make network namespaces, real packets are lost.
//
// TestChaos is the long one; it runs for a minute unless -chaos says otherwise
// (make chaos: ten). make soak runs a steady load for an hour.
package chaos
