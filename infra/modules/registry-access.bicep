// The nodes pull images; the app may give them that again and nothing else.
param registryName string
param nodesPrincipalId string
param appPrincipalId string

@description('False: the cluster is not of this deployment, and may have the role already. Azure refuses a second one, of another name.')
param assignPull bool

var roles = loadJsonContent('../roles.json')

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource nodesPull 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (assignPull) {
  name: guid(registry.id, nodesPrincipalId, roles.acrPull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
    principalId: nodesPrincipalId
    principalType: 'ServicePrincipal'
  }
}

var written = '@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${roles.acrPull}}'
var forNodes = '@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidEquals {${nodesPrincipalId}}'

resource appAssigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, appPrincipalId, roles.rbacAdministrator)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.rbacAdministrator)
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/write\'})) OR (${written} AND ${forNodes})) AND (!(ActionMatches{\'Microsoft.Authorization/roleAssignments/delete\'}))'
  }
}
