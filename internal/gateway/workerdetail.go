package gateway

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// maxWorkerDetail is how many characters of a worker's reason its callers see.
const maxWorkerDetail = 200

// failed is the first frame by which many workers say that they failed; the second one is the reason.
const failed = "\x06"

// WorkerDetail returns the reason that a failed worker's reply gives: its second frame after the byte 0x06, cut to 200
// characters. It is empty if there is none or if it is not text on one line: pickles of Python, which some workers
// send there, have control characters or bytes that are not UTF-8.
func WorkerDetail(frames [][]byte) string {
	if len(frames) < 2 || string(frames[0]) != failed {
		return ""
	}
	text := bytes.TrimRight(frames[1], "\r\n")
	shown := 0
	for range maxWorkerDetail {
		r, size := utf8.DecodeRune(text[shown:])
		switch {
		case size == 0:
			return string(text)
		case r == utf8.RuneError && size == 1 || !unicode.IsPrint(r):
			return ""
		}
		shown += size
	}
	if shown < len(text) {
		return string(text[:shown]) + "…"
	}
	return string(text)
}
