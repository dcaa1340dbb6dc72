// Package gateway is the vocabulary of a call, which all other packages share: what
// is asked for (Call, Request), what comes back (Reply, Error), how it went
// (Outcome, Answered), and what is known of services and brokers (ServiceInfo,
// PoolStats).
//
// It does no I/O and decides nothing. An error's Kind is the one word for a failure:
// it is the field in logs, the label of metrics and the code of the JSON that callers
// get.
package gateway
