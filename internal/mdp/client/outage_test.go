package client

import (
	"testing"
	"time"
)

func TestAnOutageIsToldAtOnceAndThenEveryMinuteWithACount(t *testing.T) {
	var o Outage
	start := time.Now()
	var told []int
	for second := range 150 {
		now := start.Add(time.Duration(second) * time.Second)
		tell, attempts, lasts := o.Note(now)
		if attempts != second+1 || lasts != now.Sub(start) {
			t.Fatalf("after %d s: %d attempts, %v", second, attempts, lasts)
		}
		if tell {
			told = append(told, second)
		}
	}
	if len(told) != 3 || told[0] != 0 || told[1] != 60 || told[2] != 120 {
		t.Errorf("it is told after %v s, want 0, 60 and 120", told)
	}
	o = Outage{}
	if tell, attempts, lasts := o.Note(start); !tell || attempts != 1 || lasts != 0 {
		t.Errorf("the next outage: %v, %d attempts, %v", tell, attempts, lasts)
	}
}
