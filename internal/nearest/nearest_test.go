package nearest_test

import (
	"strings"
	"testing"

	"mdpgateway/internal/nearest"
)

func TestOfIsTheWordThatWasMeant(t *testing.T) {
	words := []string{"timeout", "raw", "expires", "required"}
	for word, want := range map[string]string{
		"timout": "timeout", "time-out": "timeout", "ex-pires": "expires", "requird": "required", "ra": "raw",
		"": "", "x": "", "unrelated": "", "raw": "", strings.Repeat("timeout", 10_000): "",
	} {
		if got := nearest.Of(word, words); got != want {
			t.Errorf("%.40q: got %q, want %q", word, got, want)
		}
	}
}
