package main

// A justification says why the findings of a rule, in files whose path begins so, are
// no faults.
type justification struct{ rule, in, why string }

var justified = []justification{
	{"G304", "cmd/gateway/", "the operator names the files that are read"},
	{"G115", "internal/flowgraph/", "a body has at most 16 MiB of vars, so its offsets fit; runes are compared with ASCII before"},
	{"G115", "internal/mdp/internal/zsock/", "libzmq's monitor sends an int32 as four bytes"},
	{"G115", "internal/mdp/packed.go", "the header is one of ours, and the name of a service has at most 255 bytes"},
	{"G115", "internal/edge/dismiss_linux.go", "a program of a packet filter has five instructions"},
	{"G202", "internal/jobs/sqlite/", "what is joined to a statement are constants; values are bound"},
	{"G304", "internal/jobs/sqlite/", "the operator names the directory"},
	{"G404", "internal/httpapi/", "request ids and the jitter of Retry-After and connection ages are no secrets"},
	{"G404", "internal/mdp/worker/", "the jitter of a reconnect is no secret"},
	{"G404", "internal/oidc/", "the jitter of fetches is no secret"},
	{"G204", "internal/oidc/oidctest/", "a test runs the provider that make provider has built"},
	{"G204", "internal/jobs/natstest/", "a test runs the server that make nats-server has built"},
	{"G404", "internal/jobs/queue.go", "which job is tried next is no secret"},
	{"G404", "internal/tracing/", "span ids are no secrets"},
	{"G404", "internal/testport/", "a test may have any port"},
}
