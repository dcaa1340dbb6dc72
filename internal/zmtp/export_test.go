package zmtp

import (
	"bufio"
	"bytes"
)

// ReadAll gives take the messages of what a peer sends.
func ReadAll(sends []byte, limit int64, take func(frames [][]byte, whole bool)) {
	c := &Conn{limit: limit, wake: make(chan struct{}, 1)}
	for r := bufio.NewReader(bytes.NewReader(sends)); ; {
		frames, whole, err := c.message(r)
		if err != nil {
			return
		}
		take(frames, whole)
	}
}
