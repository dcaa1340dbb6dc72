package demo

import (
	"context"
	"math"
	"sync"
)

// What melody replies: complex samples as RTL-SDR receivers write them (cu8), pairs of bytes
// of which 127.5 means 0, of a carrier at 0 Hz.
const (
	melodyRate      = 24_000 // samples a second
	melodyDeviation = 5_000  // Hz at full loudness
	melodySeconds   = 4
)

// notes are the first line of the Ode to Joy, a quarter of a second each, as semitones above
// the A of 440 Hz. They never change.
var notes = [...]int{7, 7, 8, 10, 10, 8, 7, 5, 3, 3, 5, 7, 7, 5, 5, 5}

func melody(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
	return [][]byte{transmission()}, nil
}

// transmission is the reply of melody. Do not write to it.
var transmission = sync.OnceValue(func() []byte {
	samples := make([]byte, 0, 2*melodySeconds*melodyRate)
	phase := 0.0
	for i := range melodySeconds * melodyRate {
		phase += 2 * math.Pi * melodyDeviation / melodyRate * loudness(float64(i)/melodyRate)
		sin, cos := math.Sincos(phase)
		samples = append(samples, octet(cos), octet(sin))
	}
	return samples
})

// octet writes a value from -1 to 1 as cu8 does.
func octet(x float64) byte { return byte(math.Round(127.5 + 120*x)) }

// loudness is the melody at a time in seconds, from -1 to 1: a tone and two overtones that
// die away.
func loudness(t float64) float64 {
	const each = float64(melodySeconds) / float64(len(notes))
	note, since := math.Modf(t / each)
	w := 2 * math.Pi * pitch(notes[int(note)]) * t
	envelope := math.Min(1, since*50) * math.Exp(-2*since)
	return 0.7 * envelope * (math.Sin(w) + 0.3*math.Sin(2*w) + 0.1*math.Sin(3*w))
}

// pitch returns the frequency of a note in Hz.
func pitch(semitones int) float64 { return 440 * math.Pow(2, float64(semitones)/12) }
