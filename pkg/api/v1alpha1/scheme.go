package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version of the API.
const (
	Group   = "data.fluid.io"
	Version = "v1alpha1"
)

// Kinds of the API.
const (
	DatasetKind      = "Dataset"
	JindoRuntimeKind = "JindoRuntime"
	DataLoadKind     = "DataLoad"
)

// APIVersion is the apiVersion of manifests.
const APIVersion = Group + "/" + Version

// GroupVersion returns the group and version of the kinds in this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme registers the kinds of this package in a scheme.
func AddToScheme(s *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
		s.AddKnownTypes(GroupVersion(),
			&Dataset{}, &DatasetList{},
			&JindoRuntime{}, &JindoRuntimeList{},
			&DataLoad{}, &DataLoadList{})
		metav1.AddToGroupVersion(s, GroupVersion())
		return nil
	})
	return builder.AddToScheme(s)
}
