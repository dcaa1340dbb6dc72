package client

import "mdpgateway/internal/mdp/internal/zsock"

// DescriptorsLeft returns how many files the process may have open beside those of a pool of so many connections and
// those that maxPool keeps back.
func DescriptorsLeft(pool int) int { return zsock.DescriptorLimit() - 256 - 3*pool }
