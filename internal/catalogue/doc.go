// Package catalogue holds the services that the configuration names: what they
// take, what they answer and within which limits.
//
// A Catalogue is an immutable snapshot; a Store holds the current one and swaps
// it whole when the configuration is read again. Nothing is sent or called here
// (that is package dispatch), and no schema is ever loaded from elsewhere.
package catalogue
