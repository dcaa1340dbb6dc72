// Package access says who may call what, and how often.
//
// A List is the principals of one configuration. Each is proven by one of three things:
//
//   - a key in Authorization: Bearer. The gateway knows keys by their SHA-256 alone, so who reads the list
//     can't call. Keys are 256 random bits, for which one round of a fast hash is enough;
//   - a certificate of TLS, by the names in it;
//   - a token of an issuer (OpenID Connect, RFC 7519), by its claims. A Verifier checks its signature.
//
// A Store holds the list in force, swaps it whole when it is read again, and counts what each caller has in
// flight. Nothing is read or written here: ReadList is given text, and every question is given the time.
package access
