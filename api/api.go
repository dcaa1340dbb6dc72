// Package api is the gateway's HTTP contract. The tests of internal/httpapi hold
// it to the routes, both ways.
package api

import _ "embed"

// OpenAPI is openapi.yaml, an OpenAPI 3.1 document. Nobody may write to it.
//
//go:embed openapi.yaml
var OpenAPI []byte
