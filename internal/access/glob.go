package access

import "strings"

// Match reports whether a service's name matches a glob of ParseGlob.
func Match(glob, name string) bool { return match(glob, name) }

// match reports whether a name matches a glob. Names may contain any printable
// character, / and [ included, so path.Match would not do. It takes time in
// proportion to the product of both lengths at most, which are those of names.
func match(glob, name string) bool {
	star, retry := -1, 0 // the last *, and where in the name what follows it is tried next
	g, n := 0, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, retry = g, n
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == name[n]):
			g++
			n++
		case star >= 0:
			retry++
			g, n = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
