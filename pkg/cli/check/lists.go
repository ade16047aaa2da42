package check

// beforeInstall is what must be so for the product to be installed.
func beforeInstall() []category {
	return []category{
		{"kubernetes", []checker{
			{name: "api-server", fatal: true, look: apiServer},
			{name: "native-sidecars", look: nativeSidecars},
			{name: "node-kernels", look: nodeKernels},
			{name: "virtual-nodes", look: virtualNodes},
			{name: "default-storage-class", look: defaultStorageClass},
		}},
		{"permissions", []checker{{name: "rights-to-install", look: rightsToInstall}}},
		{"install", []checker{
			{name: "fluid-beside", look: fluidBeside},
			{name: "pod-security", look: podSecurity},
		}},
	}
}

// afterInstall is what must be so once it is, and about one Dataset.
func afterInstall(dataset string) []category {
	categories := []category{
		{"kubernetes", []checker{
			{name: "api-server", fatal: true, look: apiServer},
			{name: "native-sidecars", look: nativeSidecars},
			{name: "node-kernels", look: nodeKernels},
			{name: "virtual-nodes", look: virtualNodes},
		}},
		{"permissions", []checker{{name: "rights", look: rightsToUse}}},
		{"install", []checker{
			{name: "crds", look: definitions},
			{name: "controllers", look: controllers},
			{name: "leases", look: leases},
			{name: "node-plugin", look: nodePlugin},
			{name: "csi-driver", look: csiDriver},
			{name: "versions", look: versions},
			{name: "fluid-beside", look: fluidBeside},
		}},
		{"webhook", []checker{
			{name: "webhook-pods", look: webhookPods},
			{name: "webhook-configuration", look: webhookConfiguration},
			{name: "webhook-certificate", look: webhookCertificate},
			{name: "injection", look: injection},
			{name: "refusal", look: refusesBad},
			{name: "sidecar-policy", look: sidecarPolicy},
		}},
	}
	if dataset == "" {
		return categories
	}
	return append(categories, category{"dataset/" + dataset, []checker{
		{name: "dataset", look: datasetPhase},
		{name: "runtime", look: runtimePhases},
		{name: "quorum", look: quorum},
		{name: "workers", look: workersLive},
		{name: "certificates", look: certificates},
		{name: "credentials", look: credentials},
		{name: "bucket", look: bucket},
		{name: "claim", look: claimBound},
		{name: "mounts", look: staleMounts},
	}})
}
