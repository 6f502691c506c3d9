export async function checkBehaviour() {}
