// Package api is the gateway's HTTP contract. The tests of internal/httpapi hold
// it to the routes, both ways.
package api

import _ "embed"

// OpenAPI is openapi.yaml, an OpenAPI 3.1 document. Nobody may write to it.
//
//go:embed openapi.yaml
var OpenAPI []byte

// OpenAPIJSON is the same document as JSON, to which the gateway adds its
// services. `UPDATE=1 go test ./api` writes it; nobody else may write to it.
//
//go:embed openapi.json
var OpenAPIJSON []byte
