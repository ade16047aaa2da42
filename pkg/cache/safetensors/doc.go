// Package safetensors recognises files of model weights in the safetensors format by
// their beginning: the length of the header, 8 bytes in little-endian order, a header
// in JSON, which names the tensors and their offsets, and the tensors. Loaders map
// such a file and read all tensors of it, in the order of the model.
//
// The beginning of a file is untrusted input. Nothing longer than [MaxHeader] is
// parsed, no more than [MaxTensors] tensors are accepted, and a header is accepted
// only if its tensors fill the rest of the file without gaps and overlaps, as the
// format requires.
package safetensors
