// Package suggestions tests the commands that the plugin, its help and the
// documents print: each must exist, with its flags, and run as printed.
package suggestions
