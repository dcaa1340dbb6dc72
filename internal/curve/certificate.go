package curve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The ends of a pair's two files. CZMQ and pyzmq have the same.
const (
	PublicSuffix = ".key"
	SecretSuffix = ".key_secret"
)

// A Certificate is what is in one file.
type Certificate struct {
	Public Key
	Secret *Secret // nil in the file that others are given
}

// maxFile bounds a file, in bytes; those of the tools have about 400.
const maxFile = 64 << 10

// Write makes the files of a pair in a directory: id.key, which others are given, and id.key_secret, which only its
// owner can read. It replaces no file. The error names the file that is there.
func Write(dir, id string, pair Pair) (public, secret string, err error) {
	public, secret = filepath.Join(dir, id+PublicSuffix), filepath.Join(dir, id+SecretSuffix)
	if err := create(secret, 0o600, certificate("Secret", "Keep it secret: whoever has it can be taken for "+id+".", id, pair.Public, &pair.Secret)); err != nil {
		return "", "", err
	}
	if err := create(public, 0o644, certificate("Public", "Others may have it, by a way on which nobody can replace it.", id, pair.Public, nil)); err != nil {
		return "", "", errors.Join(err, os.Remove(secret))
	}
	return public, secret, nil
}

func create(path string, mode os.FileMode, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) // #nosec G304 -- the operator's choice
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists, want another id: a key that is in use is not replaced", path)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// certificate returns the text of a file, as CZMQ's zcert writes it and pyzmq reads it.
func certificate(kind, hint, id string, public Key, secret *Secret) string {
	text := fmt.Sprintf("#   ZeroMQ CURVE %s Certificate of gateway curve new\n#   %s\n\nmetadata\n    name = \"%s\"\ncurve\n    public-key = \"%s\"\n",
		kind, hint, id, public)
	if secret != nil {
		text += fmt.Sprintf("    secret-key = \"%s\"\n", secret.Reveal())
	}
	return text
}

// Parse reads a file of CZMQ or pyzmq: the keys public-key and secret-key below curve, each in quotes or not. The
// error says what is wanted; it shows nothing of the file.
func Parse(file []byte) (Certificate, error) {
	var c Certificate
	public := false
	section := ""
	for line := range bytes.Lines(file) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		name, value, assigned := strings.Cut(text, "=")
		if !assigned {
			section = text
			continue
		}
		if section != "curve" {
			continue
		}
		key, ok := decode(unquote(strings.TrimSpace(value)))
		switch strings.TrimSpace(name) {
		case "public-key":
			c.Public, public = Key(key), ok
		case "secret-key":
			if !ok {
				return Certificate{}, errors.New("a secret-key of 40 characters of Z85")
			}
			c.Secret = (*Secret)(&key)
		}
	}
	switch {
	case !public:
		return Certificate{}, errors.New("a CURVE certificate with a public-key, as gateway curve new makes it")
	case c.Secret != nil && c.Secret.public() != c.Public:
		return Certificate{}, errors.New("a secret-key that belongs to its public-key")
	}
	return c, nil
}

// unquote takes the quotes off a value, and what follows them.
func unquote(value string) string {
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	return value
}

// LoadKey reads the public key of a file, of either kind.
func LoadKey(path string) (Key, error) {
	c, err := load(path, false)
	return c.Public, err
}

// LoadPair reads the file of a pair that has the secret. One that others can read, or the group can write, is refused:
// the secret must be taken for known. The group may read it, since Kubernetes mounts secrets so.
func LoadPair(path string) (Pair, error) {
	c, err := load(path, true)
	switch {
	case err != nil:
		return Pair{}, err
	case c.Secret == nil:
		return Pair{}, errors.New("the file with the secret-key, such as ID" + SecretSuffix)
	}
	return Pair{Public: c.Public, Secret: *c.Secret}, nil
}

// load reads a file. The errors say what is wanted.
func load(path string, private bool) (Certificate, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator's choice
	if err != nil {
		return Certificate{}, fmt.Errorf("a file that can be read: %w", errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Certificate{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Certificate{}, fmt.Errorf("a file that can be read: %w", err)
	}
	c, err := Parse(text)
	if err == nil && private && c.Secret != nil && info.Mode().Perm()&0o027 != 0 {
		return Certificate{}, fmt.Errorf("a file that others cannot read: its mode is %#o, chmod 600 it, and make a new pair if others may have read it", info.Mode().Perm())
	}
	return c, err
}
