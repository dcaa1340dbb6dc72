// Package access says who may call what, and how often.
//
// Callers show a key in Authorization: Bearer. The gateway knows keys by their
// SHA-256 alone: the keys file does not let its readers call. Keys are
// 256 random bits, so that one round of a fast hash is enough; it would not be
// for passwords, but keys can't be chosen.
//
// Keys is an immutable snapshot of a keys file; a Store holds the one in force,
// swaps it whole when the file is read again, and counts what each key has in
// flight. Nothing is read or written here: Parse is given the file's bytes, and
// every question is given the time.
package access
