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

// Waits returns how many bytes wait.
func (c *Conn) Waits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}

// Bound sets how many bytes may wait before a message.
func (c *Conn) Bound(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = n
}
