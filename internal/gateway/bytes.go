package gateway

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// units are those of byte sizes, the larger ones first. It never changes.
var units = [...]struct {
	name string
	size int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1},
}

// ParseBytes reads a number of bytes of at least 1, with or without unit.
func ParseBytes(text string) (int64, error) {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 1 || n > math.MaxInt64/unit.size {
			break
		}
		return n * unit.size, nil
	}
	return 0, errors.New("a number of bytes of at least 1, such as 65536 or 64MiB")
}

// FormatBytes writes a size in the largest unit of which it is a whole number.
func FormatBytes(n int64) string {
	for _, unit := range units[:3] {
		if n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
