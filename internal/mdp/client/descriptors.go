package client

import "mdpgateway/internal/mdp/internal/zsock"

// DescriptorsLeft returns how many files the process may have open beside those of so many connections to brokers and
// those that maxPool keeps back.
func DescriptorsLeft(connections int) int { return zsock.DescriptorLimit() - 256 - 3*connections }
