package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mdpgateway/internal/access"
	"mdpgateway/internal/yamlnode"
)

// readKeys reads the keys file of that path, "" for none, which key (a flag, a
// variable or a key of the configuration file) names. Without a file there are no
// keys, and nil is returned.
func readKeys(path, key string) (*access.Keys, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, want a file that can be read: %w", key, path, errors.Unwrap(err))
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, fmt.Errorf("%s is %q, want a file that ends in a line break: this one may be half written", key, path)
	}
	keys, err := access.Parse(data)
	return keys, yamlnode.In(filepath.Base(path), err)
}
