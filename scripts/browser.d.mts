export declare function findBrowser(own: string): string | null;
