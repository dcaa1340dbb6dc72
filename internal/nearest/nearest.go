// Package nearest finds what somebody meant who wrote a name that there is not.
package nearest

import "strings"

// Of returns the one of words that somebody who wrote word most likely meant, or "" if
// none is near. Dashes and underscores are taken for each other.
func Of(word string, words []string) string {
	best, least := "", 1+len(word)/4
	for _, w := range words {
		if len(word) > 2*len(w) || len(word)-len(w) > least || len(w)-len(word) > least {
			continue // a long word costs no more than a short one
		}
		if d := distance(dashes.Replace(word), dashes.Replace(w)); d <= least && w != word {
			best, least = w, d-1
		}
	}
	return best
}

var dashes = strings.NewReplacer("_", "-")

// distance returns how many bytes must be inserted, deleted or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, replace)
		}
	}
	return row[len(b)]
}
