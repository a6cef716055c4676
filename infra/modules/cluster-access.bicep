// What the app may do with one cluster: look, start and stop it, and in one namespace what the product does there.
//
// The data actions have the names that Azure's authorizer makes of Kubernetes' own: the API group (none for the core
// group), the resource, and read, write or delete; subresources such as a pod's log count as their resource.
param clusterName string
param namespace string
param principalId string

var group = resourceGroup().id
var kubernetes = 'Microsoft.ContainerService/managedClusters'

resource cluster 'Microsoft.ContainerService/managedClusters@2025-05-01' existing = {
  name: clusterName
}

// Azure's authorizer takes a namespace for a scope below the cluster; it is no resource that anybody deploys.
#disable-next-line BCP081
resource inNamespace 'Microsoft.ContainerService/managedClusters/namespaces@2025-05-01' existing = {
  parent: cluster
  name: namespace
}

resource onCluster 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(cluster.id, 'elb-cluster')
  properties: {
    roleName: 'ElasticBLAST control plane: cluster ${clusterName} (${uniqueString(cluster.id)})'
    description: 'Looks at the cluster and its nodes, starts and stops it, asks for its kubeconfig.'
    type: 'CustomRole'
    assignableScopes: [group]
    permissions: [
      {
        actions: [
          '${kubernetes}/read'
          '${kubernetes}/start/action'
          '${kubernetes}/stop/action'
          '${kubernetes}/listClusterUserCredential/action'
        ]
        notActions: []
        dataActions: [
          '${kubernetes}/nodes/read'
          '${kubernetes}/metrics.k8s.io/nodes/read'
        ]
        notDataActions: []
      }
    ]
  }
}

resource onNamespace 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(cluster.id, 'elb-namespace')
  properties: {
    roleName: 'ElasticBLAST control plane: namespace of ${clusterName} (${uniqueString(cluster.id)})'
    description: 'Jobs, their pods and scripts, the probe, and elb-openapi with its role.'
    type: 'CustomRole'
    assignableScopes: [group]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          '${kubernetes}/batch/jobs/read'
          '${kubernetes}/batch/jobs/write'
          '${kubernetes}/batch/jobs/delete'
          '${kubernetes}/pods/read'
          '${kubernetes}/pods/delete'
          '${kubernetes}/configmaps/read'
          '${kubernetes}/configmaps/write'
          '${kubernetes}/apps/daemonsets/read'
          '${kubernetes}/apps/daemonsets/write'
          '${kubernetes}/apps/daemonsets/delete'
          '${kubernetes}/apps/deployments/read'
          '${kubernetes}/apps/deployments/write'
          '${kubernetes}/apps/deployments/delete'
          '${kubernetes}/services/read'
          '${kubernetes}/services/write'
          '${kubernetes}/services/delete'
          '${kubernetes}/serviceaccounts/read'
          '${kubernetes}/serviceaccounts/write'
          '${kubernetes}/serviceaccounts/delete'
          // Kubernetes lets nobody write a role that gives more than the writer has by Kubernetes' own roles, and an
          // identity of Azure has none of those: hence escalate and bind, in this namespace only.
          '${kubernetes}/rbac.authorization.k8s.io/roles/read'
          '${kubernetes}/rbac.authorization.k8s.io/roles/write'
          '${kubernetes}/rbac.authorization.k8s.io/roles/delete'
          '${kubernetes}/rbac.authorization.k8s.io/roles/escalate/action'
          '${kubernetes}/rbac.authorization.k8s.io/roles/bind/action'
          '${kubernetes}/rbac.authorization.k8s.io/rolebindings/read'
          '${kubernetes}/rbac.authorization.k8s.io/rolebindings/write'
          '${kubernetes}/rbac.authorization.k8s.io/rolebindings/delete'
        ]
        notDataActions: []
      }
    ]
  }
}

resource appOnCluster 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(cluster.id, principalId, onCluster.name)
  scope: cluster
  properties: {
    roleDefinitionId: onCluster.id
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource appInNamespace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(inNamespace.id, principalId, onNamespace.name)
  scope: inNamespace
  properties: {
    roleDefinitionId: onNamespace.id
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

output nodesPrincipalId string = cluster.properties.identityProfile.kubeletidentity.objectId
